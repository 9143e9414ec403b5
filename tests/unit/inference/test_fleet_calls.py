"""Several engines behind one backend: who gets a call, and what a failure costs."""

import asyncio
from dataclasses import replace

import pytest
from fake_backend import FAKE_PROFILE
from fakes import make_set
from rpc_service import GatedBackend

from archrouter.domain.conversation import Conversation, Message, Role
from archrouter.domain.errors import (
    BackendProtocolError,
    BackendUnavailableError,
    BudgetExceededError,
    ModelNotReadyError,
    OverloadedError,
    PromptTooLongError,
)
from archrouter.domain.policy import PolicySet
from archrouter.domain.scoring import ScoringRequest
from archrouter.inference.endpoint import EnginePool, EngineState, PooledEngine

TIMEOUT_S = 5.0
QUESTION = ScoringRequest(make_set("support"), Conversation.from_messages((Message(Role.USER, "writing code"),)))
AWAY = BackendUnavailableError("gone", retry_after_s=1.0)


def make_engines(*backends: GatedBackend, sets: tuple[PolicySet, ...] = ()) -> tuple[PooledEngine, ...]:
    """Make ready engines called a, b, c, …, each with a model version of its own."""
    engines = tuple(
        PooledEngine(name, backend, lambda: sets) for name, backend in zip("abcdefgh", backends, strict=False)
    )
    for engine, backend in zip(engines, backends, strict=True):
        backend.profile = replace(FAKE_PROFILE, model_version=f"sha256:{engine.name}")
        engine.state = EngineState.READY
        engine.profile = backend.profile
    return engines


def make_pool(*backends: GatedBackend) -> EnginePool:
    """Make a pool of ready engines."""
    pool = EnginePool()
    pool.engines = make_engines(*backends)
    return pool


async def ask(pool: EnginePool) -> str:
    """Ask one question and say which model answered."""
    return (await pool.score(QUESTION, timeout_s=TIMEOUT_S)).profile.model_version


async def test_a_call_goes_to_the_engine_with_the_fewest_calls() -> None:
    """Three calls at a time over three engines are one each; ties go by the order of the list."""
    backends = [GatedBackend() for _ in range(3)]
    pool = make_pool(*backends)
    for backend in backends:
        backend.gate.clear()
    calls = [asyncio.ensure_future(ask(pool)) for _ in range(6)]
    await asyncio.sleep(0)

    counts = [engine.call_count for engine in pool.engines]
    for backend in backends:
        backend.gate.set()

    assert [2, 2, 2] == counts
    assert ["sha256:a", "sha256:b", "sha256:c"] * 2 == await asyncio.gather(*calls)


@pytest.mark.parametrize("state", [EngineState.WAITING, EngineState.DRAINING])
async def test_an_engine_that_is_not_ready_gets_no_call(state: EngineState) -> None:
    """Neither before its checks nor after it left."""
    pool = make_pool(GatedBackend(), GatedBackend())
    pool.engines[0].state = state

    assert ["sha256:b"] * 3 == [await ask(pool) for _ in range(3)]


async def test_without_a_ready_engine_calls_are_refused_with_an_advised_wait() -> None:
    """The caller may retry, as for any model that is not ready."""
    with pytest.raises(ModelNotReadyError) as caught:
        await EnginePool().score(QUESTION, timeout_s=TIMEOUT_S)

    assert caught.value.retry_after_s > 0


@pytest.mark.parametrize("failure", [AWAY, OverloadedError("full", retry_after_s=1.0)])
async def test_a_call_that_one_engine_cannot_answer_is_answered_by_another(
    failure: BackendUnavailableError | OverloadedError,
) -> None:
    """A lost engine costs no call in the moment before its loss is noticed."""
    backends = GatedBackend(), GatedBackend()
    pool = make_pool(*backends)
    backends[0].failure = failure

    assert "sha256:b" == await ask(pool)


async def test_a_call_that_two_engines_cannot_answer_is_put_to_no_third() -> None:
    """One call that breaks engines breaks two, not all of them."""
    backends = [GatedBackend() for _ in range(3)]
    pool = make_pool(*backends)
    for backend in backends:
        backend.failure = AWAY

    with pytest.raises(BackendUnavailableError):
        await ask(pool)
    assert [1, 1, 0] == [len(backend.timeouts_s) for backend in backends]


@pytest.mark.parametrize("failure", [BackendProtocolError("broken"), BudgetExceededError(remaining_s=0.0)])
async def test_a_failure_that_no_other_engine_could_mend_is_final(
    failure: BackendProtocolError | BudgetExceededError,
) -> None:
    """Neither a broken contract nor a deadline is tried again."""
    backends = GatedBackend(), GatedBackend()
    pool = make_pool(*backends)
    backends[0].failure = failure

    with pytest.raises(type(failure)):
        await ask(pool)
    assert [] == backends[1].timeouts_s


async def test_the_second_engine_gets_the_time_that_is_left() -> None:
    """Both attempts share the caller's deadline."""
    backends = GatedBackend(), GatedBackend()
    pool = make_pool(*backends)
    backends[0].failure = AWAY
    backends[0].gate.clear()
    call = asyncio.ensure_future(ask(pool))
    await asyncio.sleep(0.02)
    backends[0].gate.set()
    await call

    assert backends[1].timeouts_s[0] <= TIMEOUT_S - 0.02


async def test_a_leaving_engine_finishes_its_calls_before_it_is_closed() -> None:
    """A call keeps the engine it started on."""
    backends = GatedBackend(), GatedBackend()
    pool = make_pool(*backends)
    backends[0].gate.clear()
    call = asyncio.ensure_future(ask(pool))
    await asyncio.sleep(0)
    leaving, pool.engines = pool.engines[0], pool.engines[1:]
    leaving.state = EngineState.DRAINING
    finished = asyncio.ensure_future(leaving.finish())
    await asyncio.sleep(0.01)
    was_done = finished.done()
    backends[0].gate.set()
    await finished

    assert not was_done
    assert ("sha256:a", "sha256:b") == (await call, await ask(pool))


async def test_an_engine_has_a_profile_once_it_is_warm() -> None:
    """One that could not be prepared has none."""
    backend = GatedBackend()
    engine = PooledEngine("a", backend, lambda: [make_set("one")])
    backend.prepare_failure = PromptTooLongError(prompt_token_count=9, max_prompt_token_count=8)
    with pytest.raises(ModelNotReadyError):
        await engine.warm_up(timeout_s=TIMEOUT_S)
    before = engine.profile
    backend.prepare_failure = None

    profile = await engine.warm_up(timeout_s=TIMEOUT_S)

    assert before is None
    assert profile == engine.profile


async def test_a_policy_set_is_prepared_on_every_engine() -> None:
    """Whichever engine a call goes to knows the set."""
    backends = GatedBackend(), GatedBackend()
    await make_pool(*backends).prepare(make_set("support"))

    assert [["support"], ["support"]] == [backend.prepared for backend in backends]


async def test_the_pool_reports_the_first_ready_engine() -> None:
    """Profile and readiness follow the engines; the profile outlasts their loss."""
    pool = make_pool(GatedBackend(), GatedBackend())
    both = pool.profile
    pool.engines[0].state = EngineState.WAITING
    second = pool.profile
    pool.engines[1].state = EngineState.WAITING

    assert ("sha256:a", "sha256:b") == (both and both.model_version, second and second.model_version)
    assert pool.profile is not None
    assert not await pool.is_ready(timeout_s=TIMEOUT_S)


async def test_warming_the_pool_up_brings_up_whatever_can_be() -> None:
    """One engine that answers is enough; without any the first reason is told."""
    backends = GatedBackend(), GatedBackend()
    pool = make_pool(*backends)
    for engine in pool.engines:
        engine.state = EngineState.WAITING
    backends[0].failure = AWAY
    backends[1].failure = AWAY
    with pytest.raises(BackendUnavailableError):
        await pool.warm_up(timeout_s=TIMEOUT_S)
    backends[1].failure = None

    assert "sha256:b" == (await pool.warm_up(timeout_s=TIMEOUT_S)).model_version
    assert [EngineState.WAITING, EngineState.READY] == [engine.state for engine in pool.engines]
