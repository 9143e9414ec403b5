"""All checks in order; what a failed one makes pointless does not apply."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from archrouter.domain.errors import ArchRouterError
from engine.verify import agreement, behaviour, logits
from engine.verify.agreement import Oracle
from engine.verify.endpoint import Endpoint, refusal_of, wait_until_ready
from engine.verify.questions import Question
from engine.verify.report import Check, Thresholds, Verdict


@dataclass(frozen=True, slots=True)
class Verification:
    """Everything that decides what is checked."""

    endpoint: Endpoint
    oracle: Oracle
    questions: Sequence[Question]
    thresholds: Thresholds = field(default_factory=Thresholds)
    overload_call_count: int = behaviour.DEFAULT_CALL_COUNT
    on_progress: Callable[[str, int, int], None] = lambda _doing, _done, _total: None


async def verify(verification: Verification) -> tuple[Check, ...]:
    """Run every check."""
    endpoint = verification.endpoint
    await wait_until_ready(endpoint.connection, endpoint.model, timeout_s=endpoint.call_timeout_s)
    checks: dict[str, Check] = {}
    for stage in _STAGES:
        failed = next((name for name in stage.needs if checks[name].verdict is Verdict.FAIL), None)
        if failed is None:
            verification.on_progress(stage.doing, 0, 0)
            found = await _guarded(stage, verification)
        else:
            reason = f"not run, because {failed} failed"
            found = tuple(Check(name, Verdict.NOT_APPLICABLE, reason, "") for name in stage.names)
        checks |= {check.name: check for check in found}
    return tuple(checks.values())


class _Stage(NamedTuple):
    doing: str
    names: tuple[str, ...]
    needs: tuple[str, ...]
    run: Callable[[Verification], Awaitable[Check | tuple[Check, ...]]]


async def _guarded(stage: _Stage, verification: Verification) -> tuple[Check, ...]:
    """Let an endpoint that stops answering fail the check that made it stop, not the whole run."""
    try:
        found = await stage.run(verification)
    except ArchRouterError as error:
        measured = f"the endpoint did not answer: {refusal_of(error)}"
        return tuple(Check(name, Verdict.FAIL, measured, "an answer", "see the server's log") for name in stage.names)
    return found if isinstance(found, tuple) else (found,)


async def _prompt_tokens(of: Verification) -> Check:
    return agreement.check_prompt_tokens(of.endpoint.bundle, of.oracle, of.questions)


async def _agreement(of: Verification) -> tuple[Check, ...]:
    def tell(done: int) -> None:
        of.on_progress("oracle and endpoint", done, len(of.questions))

    compared = await agreement.compare(of.endpoint, of.oracle, of.questions, tell)
    return agreement.check_agreement(compared, of.thresholds)


def _parallel(of: Verification) -> Awaitable[Check]:
    return logits.check_parallel_logits(of.endpoint, of.questions, of.thresholds, of.overload_call_count // 2)


_SERVED, _READABLE = (logits.CONTRACT,), (logits.CONTRACT, logits.LOGITS)
_STAGES = (
    _Stage("tensors and version", (logits.CONTRACT,), (), lambda of: logits.check_contract(of.endpoint)),
    _Stage("logits", (logits.LOGITS,), _SERVED, lambda of: logits.check_logits(of.endpoint)),
    _Stage("prompts", (agreement.PROMPT_TOKENS,), _READABLE, _prompt_tokens),
    _Stage("oracle and endpoint", (agreement.ROUTE, agreement.PROBABILITY), _READABLE, _agreement),
    _Stage("parallel calls", (logits.PARALLEL,), _READABLE, _parallel),
    _Stage(
        "cache", (behaviour.KV_REUSE,), _READABLE, lambda of: behaviour.check_kv_reuse(of.endpoint, of.questions[0])
    ),
    _Stage("limits", (behaviour.PROMPT_LIMITS,), _SERVED, lambda of: behaviour.check_prompt_limits(of.endpoint)),
    _Stage("cancellation", (behaviour.CANCELLATION,), _SERVED, lambda of: behaviour.check_cancellation(of.endpoint)),
    _Stage(
        "overload",
        (behaviour.OVERLOAD, behaviour.QUEUE_FULL),
        _SERVED,
        lambda of: behaviour.check_overload(of.endpoint, of.overload_call_count),
    ),
)
