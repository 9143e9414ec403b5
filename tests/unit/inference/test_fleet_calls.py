"""Several endpoints behind one backend: who gets a call, and what a failure costs."""

import asyncio
from dataclasses import replace

import pytest
from tests.support.fake_backend import FAKE_PROFILE
from tests.support.fakes import make_set
from tests.support.fleet_scene import WATCH
from tests.support.rpc_service import GatedBackend

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
from archrouter.inference.endpoint import Endpoint, EndpointList, EndpointSpec, EndpointState
from archrouter.inference.fleet import Fleet

TIMEOUT_S = 5.0
QUESTION = ScoringRequest(make_set("support"), Conversation.from_messages((Message(Role.USER, "writing code"),)))
AWAY = BackendUnavailableError("gone", retry_after_s=1.0)


def make_endpoint(backend: GatedBackend, name: str = "a", sets: tuple[PolicySet, ...] = ()) -> Endpoint:
    """Make an endpoint that waits."""
    return Endpoint(EndpointSpec(f"{name}:8001", "m"), backend, lambda: sets, WATCH)


def make_fleet(*backends: GatedBackend) -> Fleet:
    """Make a fleet of ready endpoints called a, b, c, …, each with a model version of its own."""
    fleet = empty_fleet()
    for name, backend in zip("abcdefgh", backends, strict=False):
        backend.profile = replace(FAKE_PROFILE, model_version=f"sha256:{name}")
        endpoint = make_endpoint(backend, name)
        endpoint.state = EndpointState.READY
        endpoint.profile = backend.profile
        fleet.endpoints += (endpoint,)
    return fleet


def empty_fleet() -> Fleet:
    """Make a fleet without endpoints."""
    nothing = EndpointList((), ())
    return Fleet(lambda: nothing, lambda _spec: GatedBackend(), lambda _status: None, WATCH)


async def ask(fleet: Fleet) -> str:
    """Ask one question and say which model answered."""
    return (await fleet.score(QUESTION, timeout_s=TIMEOUT_S)).profile.model_version


async def test_a_call_goes_to_the_endpoint_with_the_fewest_calls() -> None:
    """Three calls at a time over three engines are one each; ties go by the order of the list."""
    backends = [GatedBackend() for _ in range(3)]
    fleet = make_fleet(*backends)
    for backend in backends:
        backend.gate.clear()
    calls = [asyncio.ensure_future(ask(fleet)) for _ in range(6)]
    await asyncio.sleep(0)

    counts = [len(endpoint.calls) for endpoint in fleet.endpoints]
    for backend in backends:
        backend.gate.set()

    assert [2, 2, 2] == counts
    assert ["sha256:a", "sha256:b", "sha256:c"] * 2 == await asyncio.gather(*calls)


@pytest.mark.parametrize("state", [EndpointState.WAITING, EndpointState.DRAINING])
async def test_an_endpoint_that_is_not_ready_gets_no_call(state: EndpointState) -> None:
    """Neither before its checks nor after it left."""
    fleet = make_fleet(GatedBackend(), GatedBackend())
    fleet.endpoints[0].state = state

    assert ["sha256:b"] * 3 == [await ask(fleet) for _ in range(3)]


async def test_without_a_ready_endpoint_calls_are_refused_with_an_advised_wait() -> None:
    """The caller may retry, as for any model that is not ready."""
    with pytest.raises(ModelNotReadyError) as caught:
        await empty_fleet().score(QUESTION, timeout_s=TIMEOUT_S)

    assert caught.value.retry_after_s > 0


@pytest.mark.parametrize("failure", [AWAY, OverloadedError("full", retry_after_s=1.0)])
async def test_a_call_that_one_endpoint_cannot_answer_is_answered_by_another(
    failure: BackendUnavailableError | OverloadedError,
) -> None:
    """A lost engine costs no call in the moment before its loss is noticed."""
    backends = GatedBackend(), GatedBackend()
    fleet = make_fleet(*backends)
    backends[0].failure = failure

    assert "sha256:b" == await ask(fleet)


async def test_a_call_that_two_endpoints_cannot_answer_is_put_to_no_third() -> None:
    """One call that breaks endpoints breaks two, not all of them."""
    backends = [GatedBackend() for _ in range(3)]
    fleet = make_fleet(*backends)
    for backend in backends:
        backend.failure = AWAY

    with pytest.raises(BackendUnavailableError):
        await ask(fleet)
    assert [1, 1, 0] == [len(backend.timeouts_s) for backend in backends]


@pytest.mark.parametrize("failure", [BackendProtocolError("broken"), BudgetExceededError(remaining_s=0.0)])
async def test_a_failure_that_no_other_endpoint_could_mend_is_final(
    failure: BackendProtocolError | BudgetExceededError,
) -> None:
    """Neither a broken contract nor a deadline is tried again."""
    backends = GatedBackend(), GatedBackend()
    fleet = make_fleet(*backends)
    backends[0].failure = failure

    with pytest.raises(type(failure)):
        await ask(fleet)
    assert [] == backends[1].timeouts_s


async def test_the_second_endpoint_gets_the_time_that_is_left() -> None:
    """Both attempts share the caller's deadline."""
    backends = GatedBackend(), GatedBackend()
    fleet = make_fleet(*backends)
    backends[0].failure = AWAY
    backends[0].gate.clear()
    call = asyncio.ensure_future(ask(fleet))
    await asyncio.sleep(0)  # the call begins, and its time runs
    await asyncio.sleep(0.02)
    backends[0].gate.set()
    await call

    assert backends[1].timeouts_s[0] <= TIMEOUT_S - 0.02


async def test_a_leaving_endpoint_finishes_its_calls_before_it_is_closed() -> None:
    """A call keeps the endpoint it started on."""
    backends = GatedBackend(), GatedBackend()
    fleet = make_fleet(*backends)
    backends[0].gate.clear()
    call = asyncio.ensure_future(ask(fleet))
    await asyncio.sleep(0)
    leaving, fleet.endpoints = fleet.endpoints[0], fleet.endpoints[1:]
    leaving.state = EndpointState.DRAINING
    finished = asyncio.ensure_future(leaving.finish())
    await asyncio.sleep(0.01)
    was_done = finished.done()
    backends[0].gate.set()
    await finished

    assert not was_done
    assert ("sha256:a", "sha256:b") == (await call, await ask(fleet))


async def test_an_endpoint_has_a_profile_once_it_is_warm() -> None:
    """One that could not be prepared has none."""
    backend = GatedBackend()
    endpoint = make_endpoint(backend, sets=(make_set("one"),))
    backend.prepare_failure = PromptTooLongError(prompt_token_count=9, max_prompt_token_count=8)
    with pytest.raises(ModelNotReadyError):
        await endpoint.warm_up(timeout_s=TIMEOUT_S)
    before = endpoint.profile
    backend.prepare_failure = None

    profile = await endpoint.warm_up(timeout_s=TIMEOUT_S)

    assert before is None
    assert profile == endpoint.profile


async def test_a_policy_set_is_prepared_on_every_endpoint() -> None:
    """Whichever endpoint a call goes to knows the set."""
    backends = GatedBackend(), GatedBackend()
    await make_fleet(*backends).prepare(make_set("support"))

    assert [["support"], ["support"]] == [backend.prepared for backend in backends]


async def test_the_fleet_reports_the_first_ready_endpoint() -> None:
    """Profile and readiness follow the endpoints; the profile outlasts their loss."""
    fleet = make_fleet(GatedBackend(), GatedBackend())
    both = fleet.profile
    fleet.endpoints[0].state = EndpointState.WAITING
    second = fleet.profile
    fleet.endpoints[1].state = EndpointState.WAITING

    assert ("sha256:a", "sha256:b") == (both and both.model_version, second and second.model_version)
    assert fleet.profile is not None
    assert () == fleet.ready
