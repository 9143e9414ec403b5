"""Checks of many calls at once tell what confirms them from what does not, on recorded answers."""

import dataclasses
import threading
from collections.abc import Callable

import pytest
from first_gpu_run import load_checks
from first_gpu_run.checks import Status
from first_gpu_run.host import Host
from first_gpu_run.wire import Answer, Call
from recorded_wire import QUEUE_FULL, RecordedWire, answered, outcome, refused, rows_of


class MixingWire(RecordedWire):
    """Spoils a row of logits in every call after the first twenty, which come one by one."""

    def __init__(self, row: int) -> None:
        """Choose the row."""
        super().__init__(self._spoil)
        self._row = row
        self._lock = threading.Lock()

    def _spoil(self, call: Call) -> Answer:
        outputs = dict(rows_of(call))
        with self._lock:
            is_alone = len(self.calls) <= 20
        if not is_alone and call.new_token_count > self._row:
            outputs["generation_logits"][0, 0, self._row] += 1.0
        return answered(**outputs)


def test_one_row_parallel(host: Host) -> None:
    """The same logits confirm; a shift of one row refutes; a refusal is told."""
    assert Status.CONFIRMED is outcome("one-row-parallel", host)[0]
    assert Status.DIFFERENT is outcome("one-row-parallel", dataclasses.replace(host, wire=MixingWire(0)))[0]
    assert (Status.DIFFERENT, QUEUE_FULL) == outcome(
        "one-row-parallel", dataclasses.replace(host, wire=RecordedWire(lambda _c: refused(QUEUE_FULL)))
    )


def test_many_rows_parallel(host: Host) -> None:
    """The fault shows after the first row only; a clean server is different from what was read."""
    mixed = outcome("many-rows-parallel", dataclasses.replace(host, wire=MixingWire(2)))

    assert (
        Status.CONFIRMED,
        "largest difference of the logits by row: 0, 0, 1, 0 (64 calls together against one by one)",
    ) == mixed
    assert Status.DIFFERENT is outcome("many-rows-parallel", host)[0]
    assert Status.DIFFERENT is outcome("many-rows-parallel", dataclasses.replace(host, wire=MixingWire(0)))[0]


def metrics_of(*values: int) -> Callable[[], str]:
    """Give metrics whose count of active requests goes through these values."""
    left = list(values)

    def read() -> str:
        value = left.pop(0) if len(left) > 1 else left[0]
        return f'nv_trt_llm_request_metrics{{model="tensorrt_llm",request_type="active",version="1"}} {value}\n'

    return read


def test_cancel(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that stays active refutes, as does a call that was never cut."""
    monkeypatch.setattr(load_checks, "IDLE_WITHIN_S", 0.1)
    cut = dataclasses.replace(host, wire=RecordedWire(lambda _c: refused("DEADLINE_EXCEEDED: Deadline Exceeded")))

    leaving = outcome("cancel", dataclasses.replace(cut, metrics=metrics_of(1, 0)))
    staying = outcome("cancel", dataclasses.replace(cut, metrics=metrics_of(1)))
    assert Status.CONFIRMED is leaving[0]
    assert Status.DIFFERENT is staying[0]
    assert "1 active requests" in staying[1]
    assert Status.DIFFERENT is outcome("cancel", dataclasses.replace(cut, metrics=lambda: ""))[0]
    assert Status.DIFFERENT is outcome("cancel", dataclasses.replace(host, metrics=metrics_of(0)))[0]
    assert (Status.NOT_CHECKED, "needs --metrics, the URL of Triton's metrics") == outcome("cancel", cut)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (QUEUE_FULL, Status.CONFIRMED),
        ("UNAVAILABLE: Exceeds maximum queue size", Status.DIFFERENT),
        ("", Status.DIFFERENT),
    ],
)
def test_overload(host: Host, error: str, status: Status) -> None:
    """Another text and no refusal at all are both different."""
    at = dataclasses.replace(host, wire=RecordedWire(lambda _c: Answer({}, error, 0.01)), overload_calls=8)

    assert status is outcome("overload", at)[0]


@pytest.mark.parametrize(("elapsed_s", "status"), [(0.02, Status.CONFIRMED), (0.2, Status.DIFFERENT)])
def test_speed(host: Host, elapsed_s: float, status: Status) -> None:
    """The median of single calls decides; all concurrencies are told."""
    found = outcome("speed", dataclasses.replace(host, wire=RecordedWire(lambda c: answered(elapsed_s, **rows_of(c)))))

    assert status is found[0]
    assert f"1: p50 {1000 * elapsed_s:.1f} ms" in found[1]
    assert "64: p50" in found[1]


def test_speed_of_a_server_that_refuses(host: Host) -> None:
    """A refusal is no measurement."""
    found = outcome("speed", dataclasses.replace(host, wire=RecordedWire(lambda _c: refused(QUEUE_FULL))))

    assert (Status.DIFFERENT, f"at concurrency 1: {QUEUE_FULL}") == found


@pytest.mark.parametrize(("single_s", "status"), [(0.02, Status.CONFIRMED), (0.005, Status.DIFFERENT)])
def test_profiles(host: Host, single_s: float, status: Status) -> None:
    """Both medians are told."""
    single = RecordedWire(lambda c: answered(single_s, **rows_of(c)))
    found = outcome("profiles", dataclasses.replace(host, single_profile=single))

    assert (status, f"p50 10.0 ms with several profiles, {1000 * single_s:.1f} ms with one") == found
