"""Checks of many calls at once: wrong logits, cancellation, overload, speed."""

import re
import time
from statistics import median, quantiles

import numpy as np

from archrouter.inference import tensors
from archrouter.inference.triton_errors import QUEUE_FULL_TEXT
from first_gpu_run.checks import Check, Finding
from first_gpu_run.host import Host, given
from first_gpu_run.wire import Answer, Array, Call, Wire, ask_all

PARALLEL_CALLS = 64
MANY_ROWS = 4
LOGIT_TOLERANCE = 0.05
"""Batches of other sizes may take other kernels, which round bfloat16 sums differently."""

CONCURRENCIES = (1, 8, 32, 64)
CALLS_PER_CONCURRENCY = 64
SLOWEST_P50_S = 0.150
PROFILE_CALLS = 64
CANCEL_TOKENS = 512
CANCEL_AFTER_S = 0.2
IDLE_WITHIN_S = 2.0

_ACTIVE = re.compile(r'^nv_trt_llm_request_metrics\{[^}]*request_type="active"[^}]*\} (\S+)$', re.MULTILINE)


def _one_row_parallel(host: Host) -> Finding:
    differences = _parallel_differences(host, 1)
    if isinstance(differences, str):
        return Finding(is_as_expected=False, saw=differences)
    return Finding(is_as_expected=bool(differences.max() <= LOGIT_TOLERANCE), saw=_rows(differences))


def _many_rows_parallel(host: Host) -> Finding:
    differences = _parallel_differences(host, MANY_ROWS)
    if isinstance(differences, str):
        return Finding(is_as_expected=False, saw=differences)
    is_first_clean = bool(differences[0] <= LOGIT_TOLERANCE)
    return Finding(
        is_as_expected=is_first_clean and bool(differences[1:].max() > LOGIT_TOLERANCE), saw=_rows(differences)
    )


def _parallel_differences(host: Host, row_count: int) -> Array | str:
    """Ask the same prompts one after the other and together; return the largest difference of each row."""
    wire, _ = host.served()
    calls = host.calls(PARALLEL_CALLS, new_token_count=row_count)
    alone = [wire.ask(call) for call in calls[: len(host.prompts())]]
    together = ask_all(wire, calls, PARALLEL_CALLS)
    failed = next((answer.error for answer in (*alone, *together) if answer.error), None)
    if failed is not None:
        return failed
    largest = np.zeros(row_count)
    for index, answer in enumerate(together):
        pair = [a.outputs[tensors.GENERATION_LOGITS.name][0, 0] for a in (alone[index % len(alone)], answer)]
        # A later row depends on the tokens before it: where those differ, so may the row, without a fault.
        length = _shared_tokens(alone[index % len(alone)], answer, row_count)
        difference = np.abs(pair[0][:length] - pair[1][:length]).max(axis=1)
        largest[:length] = np.maximum(largest[:length], difference)
    return largest


def _shared_tokens(first: Answer, second: Answer, row_count: int) -> int:
    tokens = [answer.outputs[tensors.OUTPUT_IDS.name].ravel().tolist() for answer in (first, second)]
    same = next((i for i, (a, b) in enumerate(zip(*tokens, strict=False)) if a != b), min(map(len, tokens)))
    return min(same + 1, row_count)


def _rows(differences: Array) -> str:
    rows = ", ".join(f"{difference:.2g}" for difference in differences)
    return f"largest difference of the logits by row: {rows} ({PARALLEL_CALLS} calls together against one by one)"


def _cancel(host: Host) -> Finding:
    """Let a long call run into its deadline; the executor must stop working on it."""
    wire, _ = host.served()
    metrics = given(host.metrics, "--metrics, the URL of Triton's metrics")
    call = Call(host.prompts()[0], CANCEL_TOKENS, is_asking_logits=False, timeout_s=CANCEL_AFTER_S)
    answer = wire.ask(call)
    if not answer.error:
        return Finding(is_as_expected=False, saw=f"{CANCEL_TOKENS} tokens came within {CANCEL_AFTER_S:g} s")
    started_s = time.monotonic()
    while (active := _active(metrics())) != 0 and time.monotonic() - started_s < IDLE_WITHIN_S:
        time.sleep(0.05)
    if active is None:
        return Finding(is_as_expected=False, saw="the metrics have no nv_trt_llm_request_metrics of type active")
    waited_s = time.monotonic() - started_s
    return Finding(is_as_expected=active == 0, saw=f"{active:g} active requests {waited_s:.2f} s after the deadline")


def _active(text: str) -> float | None:
    found = _ACTIVE.findall(text)
    return sum(map(float, found)) if found else None


def _overload(host: Host) -> Finding:
    """Send more calls at once than the queue takes; the refusals must have the text the service knows."""
    wire, _ = host.served()
    count = given(host.overload_calls or None, "--overload-calls, more than batch and queue together")
    answers = ask_all(wire, host.calls(count), count)
    refusals = sorted({answer.error for answer in answers if answer.error})
    refused = sum(bool(answer.error) for answer in answers)
    is_known = bool(refusals) and all(QUEUE_FULL_TEXT in text for text in refusals)
    return Finding(is_as_expected=is_known, saw=f"{refused} of {count} calls refused: {'; '.join(refusals) or 'none'}")


def _speed(host: Host) -> Finding:
    """Time decisions with warm prefixes at rising concurrency."""
    wire, _ = host.served()
    lines, first_p50_s = [], 0.0
    for concurrency in CONCURRENCIES:
        started_s = time.monotonic()
        answers = ask_all(wire, host.calls(CALLS_PER_CONCURRENCY), concurrency)
        elapsed_s = time.monotonic() - started_s
        failed = next((answer.error for answer in answers if answer.error), None)
        if failed is not None:
            return Finding(is_as_expected=False, saw=f"at concurrency {concurrency}: {failed}")
        times_s = [answer.elapsed_s for answer in answers]
        p50_s, p95_s = median(times_s), quantiles(times_s, n=20)[-1]
        first_p50_s = first_p50_s or p50_s
        rate = len(answers) / elapsed_s
        lines.append(f"{concurrency}: p50 {1000 * p50_s:.1f} ms, p95 {1000 * p95_s:.1f} ms, {rate:.0f} calls/s")
    saw = f"by concurrency, {CALLS_PER_CONCURRENCY} calls each: {'; '.join(lines)}"
    return Finding(is_as_expected=first_p50_s <= SLOWEST_P50_S, saw=saw)


def _profiles(host: Host) -> Finding:
    wire, _ = host.served()
    other = given(host.single_profile, "--endpoint-single-profile, an engine built without --multiple_profiles")
    several_s, single_s = (_p50_s(served, host) for served in (wire, other))
    return Finding(
        is_as_expected=several_s <= single_s,
        saw=f"p50 {1000 * several_s:.1f} ms with several profiles, {1000 * single_s:.1f} ms with one",
    )


def _p50_s(wire: Wire, host: Host) -> float:
    return median(wire.ask(call).elapsed_s for call in host.calls(PROFILE_CALLS))


LOAD_CHECKS = (
    Check("one-row-parallel", "one-row logits are the same alone and among 64 calls at once", _one_row_parallel),
    Check("many-rows-parallel", "1.2.1 can mix up logits after the first row among calls at once", _many_rows_parallel),
    Check("cancel", "a call past its deadline leaves the executor within 2 s", _cancel),
    Check("overload", f"calls beyond the queue are refused with {QUEUE_FULL_TEXT!r}", _overload),
    Check("speed", "a decision with a warm prefix takes at most 150 ms alone (p50)", _speed),
    Check("profiles", "several optimisation profiles are no slower than one", _profiles),
)
