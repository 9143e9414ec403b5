"""An endpoint is ready when its model is prepared for what is being served, and watched whatever happens."""

import asyncio

import pytest
from structlog.testing import capture_logs
from tests.support.fake_backend import FAKE_PROFILE
from tests.support.fakes import make_set
from tests.support.fleet_scene import WATCH
from tests.support.rpc_service import GatedBackend, eventually

from archrouter.domain.errors import ModelNotReadyError, PromptTooLongError
from archrouter.domain.policy import PolicySet
from archrouter.inference.endpoint import Endpoint, EndpointSpec, EndpointState

TIMEOUT_S = 5.0
SPEC = EndpointSpec("a:8001", "m")


async def test_every_served_set_is_prepared_before_the_model_is_warm() -> None:
    """Sets that a reload brings meanwhile included."""
    backend = GatedBackend()
    served = [make_set("one")]
    prepare = backend.prepare

    async def prepare_and_reload(policy_set: PolicySet) -> None:
        """Let a reload happen while the first set is prepared."""
        await prepare(policy_set)
        if len(served) == 1:
            served.append(make_set("two"))

    backend.prepare = prepare_and_reload  # type: ignore[method-assign]
    profile = await Endpoint(SPEC, backend, lambda: list(served), WATCH).warm_up(timeout_s=TIMEOUT_S)

    assert {"one", "two"} == set(backend.prepared)
    assert FAKE_PROFILE == profile


async def test_a_model_that_was_lost_is_prepared_again_for_what_is_served_then() -> None:
    """A server that restarts has forgotten the sets; those that were removed meanwhile are not missed."""
    backend = GatedBackend()
    served = [make_set("one"), make_set("two")]
    model = Endpoint(SPEC, backend, lambda: list(served), WATCH)

    await model.warm_up(timeout_s=TIMEOUT_S)
    del served[0]
    await model.warm_up(timeout_s=TIMEOUT_S)

    assert ["one", "two", "two"] == backend.prepared


async def test_a_model_that_cannot_take_a_served_set_is_not_warm() -> None:
    """A bundle with less room for policies is refused before it serves."""
    backend = GatedBackend()
    backend.prepare_failure = PromptTooLongError(prompt_token_count=9, max_prompt_token_count=8)

    with pytest.raises(ModelNotReadyError, match=r"policy set 'one' does not fit this model: the prompt has 9 tokens"):
        await Endpoint(SPEC, backend, lambda: [make_set("one")], WATCH).warm_up(timeout_s=TIMEOUT_S)


async def test_an_endpoint_is_watched_whatever_its_watch_runs_into() -> None:
    """An error that nobody foresaw is logged with its traceback, and the endpoint comes back by itself."""
    backend = GatedBackend()
    endpoint = Endpoint(SPEC, backend, lambda: [make_set("one")], WATCH)
    states: list[EndpointState] = []
    looks = iter([None, TypeError("not foreseen")])  # the first is of the warm-up

    async def is_ready(*, timeout_s: float) -> bool:
        """Fail once."""
        del timeout_s
        failure = next(looks, None)
        if failure is not None:
            raise failure
        return True

    backend.is_ready = is_ready  # type: ignore[method-assign]
    with capture_logs() as logs:
        watching = asyncio.ensure_future(endpoint.watch(lambda: states.append(endpoint.state)))
        await eventually(lambda: len(states) == 3)
        watching.cancel()

    assert [EndpointState.READY, EndpointState.WAITING, EndpointState.READY] == states
    assert [True] == [log["exc_info"] for log in logs if log["event"] == "endpoint_watch_failed"]


async def test_a_set_that_leaves_while_an_endpoint_warms_up_is_released() -> None:
    """What it had prepared for the set is not kept for nobody."""
    backend = GatedBackend()
    served = [make_set("one"), make_set("two")]
    prepare = backend.prepare

    async def prepare_and_remove(policy_set: PolicySet) -> None:
        """Let a reload remove the first set while the second is prepared."""
        await prepare(policy_set)
        if policy_set.id == "two":
            del served[:-1]

    backend.prepare = prepare_and_remove  # type: ignore[method-assign]
    await Endpoint(SPEC, backend, lambda: list(served), WATCH).warm_up(timeout_s=TIMEOUT_S)

    assert ["one"] == backend.released
