"""All checks in order; what a failed one makes pointless does not apply."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from archrouter.domain.errors import ArchRouterError
from engine.verify import agreement, behaviour, contract, overload, parallel
from engine.verify.agreement import Oracle
from engine.verify.questions import Question
from engine.verify.report import Check, Thresholds, Verdict
from engine.verify.served import ServedEngine, refusal_of, wait_until_ready

_AFTER_LOGITS = (
    *(agreement.PROMPT_TOKENS, agreement.ROUTE, agreement.PROBABILITY),
    *(parallel.PARALLEL, behaviour.KV_REUSE),
)
_AFTER_CONTRACT = (
    *(contract.LOGITS, *_AFTER_LOGITS, behaviour.PROMPT_LIMITS, behaviour.CANCELLATION),
    *(overload.OVERLOAD, overload.QUEUE_FULL),
)


@dataclass(frozen=True, slots=True)
class Verification:
    """Everything that decides what is checked."""

    engine: ServedEngine
    oracle: Oracle
    questions: Sequence[Question]
    thresholds: Thresholds = field(default_factory=Thresholds)
    overload_call_count: int = overload.DEFAULT_CALL_COUNT
    on_progress: Callable[[str, int, int], None] = lambda _doing, _done, _total: None


async def verify(verification: Verification) -> tuple[Check, ...]:
    """Run every check."""
    engine = verification.engine
    tell = verification.on_progress
    tell("tensors and version", 0, 0)
    await wait_until_ready(engine.connection, engine.model, timeout_s=engine.call_timeout_s)
    first = await contract.check_contract(engine)
    if first.verdict is Verdict.FAIL:
        return (first, *(_pointless(name, contract.CONTRACT) for name in _AFTER_CONTRACT))
    tell("logits", 0, 0)
    second = await contract.check_logits(engine)
    checks = [first, second]
    if second.verdict is Verdict.FAIL:
        checks += [_pointless(name, contract.LOGITS) for name in _AFTER_LOGITS]
    else:
        checks += await _decisions(verification)
    tell("prompt limits", 0, 0)
    checks += await _guarded((behaviour.PROMPT_LIMITS,), _one(behaviour.check_prompt_limits(engine)))
    tell("cancellation", 0, 0)
    checks += await _guarded((behaviour.CANCELLATION,), _one(behaviour.check_cancellation(engine)))
    tell("overload", 0, 0)
    burst = overload.check_overload(engine, verification.overload_call_count)
    checks += await _guarded((overload.OVERLOAD, overload.QUEUE_FULL), burst)
    return tuple(checks)


async def _decisions(verification: Verification) -> list[Check]:
    engine, oracle, questions = verification.engine, verification.oracle, verification.questions
    total = len(questions)

    async def agree() -> tuple[Check, ...]:
        compared = await agreement.compare(
            engine, oracle, questions, lambda done: verification.on_progress("oracle and engine", done, total)
        )
        return agreement.check_agreement(compared, verification.thresholds)

    tokens = agreement.check_prompt_tokens(engine.bundle, oracle, questions)
    agreed = await _guarded((agreement.ROUTE, agreement.PROBABILITY), agree())
    call_count = verification.overload_call_count // 2
    together = parallel.check_parallel_logits(engine, questions, verification.thresholds, call_count)
    same = await _guarded((parallel.PARALLEL,), _one(together))
    reuse = await _guarded((behaviour.KV_REUSE,), _one(behaviour.check_kv_reuse(engine, questions[0])))
    return [tokens, *agreed, *same, *reuse]


async def _one(check: Awaitable[Check]) -> tuple[Check, ...]:
    return (await check,)


async def _guarded(names: tuple[str, ...], checks: Awaitable[tuple[Check, ...]]) -> tuple[Check, ...]:
    """Let an engine that stops answering fail the check that made it stop, not the whole run."""
    try:
        return await checks
    except ArchRouterError as error:
        measured = f"the engine did not answer: {refusal_of(error)}"
        return tuple(Check(name, Verdict.FAIL, measured, "an answer", "see the server's log") for name in names)


def _pointless(name: str, failed: str) -> Check:
    return Check(name, Verdict.NOT_APPLICABLE, f"not run, because {failed} failed", "")
