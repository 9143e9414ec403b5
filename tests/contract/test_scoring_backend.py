"""What every `ScoringBackend` promises, checked on each implementation."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest
import pytest_asyncio
from tests.support.fake_backend import FakeBackend
from tests.support.fakes import make_set
from tests.support.fleet_scene import WATCH

from archrouter.application.ports import ScoringBackend
from archrouter.bundles.builder import REFERENCE_MODEL
from archrouter.bundles.loader import PromptBundle
from archrouter.domain.conversation import Conversation, Message, Role
from archrouter.domain.policy import ModelTarget, PolicySet, RoutePolicy
from archrouter.domain.scoring import Overflow, ScoringRequest
from archrouter.inference.connect import connect
from archrouter.inference.endpoint import EndpointList, EndpointSpec
from archrouter.inference.fleet import Fleet
from archrouter.inference.model import Model

TIMEOUT_S = 20.0
MODELS = (ModelTarget("m"),)
ROUTES = (
    RoutePolicy("bug_fixing", "code", "fixing", "finding and fixing a bug", MODELS),
    RoutePolicy("book_flight", "travel", "flight", "plane tickets and airports", MODELS),
    RoutePolicy("find_recipe", "cooking", "recipe", "recipe for a dish", MODELS),
)
"""Topics that the toy language model knows too."""
POLICIES = PolicySet("contract", "", ROUTES, MODELS)
TRIP = Conversation.from_messages((Message(Role.USER, "two tickets for the plane to tokyo"),))


@pytest.fixture
def specs(triton_endpoint: str, engine_endpoint: str, bundle: PromptBundle) -> dict[str, EndpointSpec]:
    """Say where each kind of model is served."""
    return {
        "compact": EndpointSpec(triton_endpoint, "compact_router"),
        "engine": EndpointSpec(engine_endpoint, REFERENCE_MODEL, bundle),
    }


@pytest_asyncio.fixture(params=["fake", "compact", "engine"])
async def model(request: pytest.FixtureRequest, specs: dict[str, EndpointSpec]) -> AsyncIterator[Model]:
    """Give each kind of model in turn, warm."""
    made = FakeBackend() if request.param == "fake" else connect(specs[request.param], max_concurrent_requests=4)
    await made.warm_up(timeout_s=TIMEOUT_S)
    yield made
    await made.close()


@pytest_asyncio.fixture(params=["fake", "compact", "engine", "fleet"])
async def backend(request: pytest.FixtureRequest, specs: dict[str, EndpointSpec]) -> AsyncIterator[ScoringBackend]:
    """Give each implementation in turn, warm."""
    kind = "engine" if request.param == "fleet" else request.param
    made = FakeBackend() if kind == "fake" else connect(specs[kind], max_concurrent_requests=4)
    await made.warm_up(timeout_s=TIMEOUT_S)
    if request.param != "fleet":
        yield made
        await made.close()
        return
    listed = EndpointList((specs[kind],), ())
    fleet = Fleet(lambda: listed, lambda _spec: made, lambda _status: None, WATCH)
    fleet.start()
    running = asyncio.ensure_future(fleet.run())
    async with asyncio.timeout(TIMEOUT_S):
        while not fleet.ready:
            await asyncio.sleep(0.01)
    yield fleet
    running.cancel()
    await asyncio.wait([running])
    await fleet.close()


async def test_posterior_covers_every_route_and_no_match(backend: ScoringBackend) -> None:
    """One log-probability per candidate, summing to one."""
    scoring = await backend.score(ScoringRequest(POLICIES, TRIP), timeout_s=TIMEOUT_S)

    assert (4,) == scoring.posterior.log_probabilities.shape
    assert np.exp(scoring.posterior.log_probabilities).sum() == pytest.approx(1.0, abs=1e-6)


async def test_the_route_that_is_meant_leads(backend: ScoringBackend) -> None:
    """An easy conversation gets its route."""
    scoring = await backend.score(ScoringRequest(POLICIES, TRIP), timeout_s=TIMEOUT_S)

    assert 1 == int(scoring.posterior.log_probabilities.argmax())


async def test_the_same_question_gets_the_same_answer(backend: ScoringBackend) -> None:
    """Decisions are deterministic."""
    first = await backend.score(ScoringRequest(POLICIES, TRIP), timeout_s=TIMEOUT_S)
    second = await backend.score(ScoringRequest(POLICIES, TRIP), timeout_s=TIMEOUT_S)

    np.testing.assert_array_equal(first.posterior.log_probabilities, second.posterior.log_probabilities)


async def test_usage_counts_calls_and_tokens(backend: ScoringBackend) -> None:
    """A decision says what it cost."""
    scoring = await backend.score(ScoringRequest(POLICIES, TRIP), timeout_s=TIMEOUT_S)

    assert scoring.usage.engine_call_count >= 1
    assert 0 < scoring.usage.prompt_token_count <= scoring.profile.max_prompt_token_count
    assert 0 == scoring.usage.dropped_message_count


async def test_what_is_not_read_by_design_is_not_dropped(backend: ScoringBackend) -> None:
    """A tool's result, an assistant's first words and white space after the question are no reason to refuse it."""
    after = (Message(Role.TOOL, "found 2"), Message(Role.ASSISTANT, "Here are"), Message(Role.USER, " \n"))
    conversation = Conversation.from_messages((*TRIP.messages, *after))

    request = ScoringRequest(POLICIES, conversation, Overflow.REJECT)
    scoring = await backend.score(request, timeout_s=TIMEOUT_S)

    assert (0, 0) == (scoring.usage.dropped_message_count, scoring.usage.dropped_token_count)


async def test_profile_identifies_the_model(model: Model) -> None:
    """What decided can be named and found again."""
    profile = await model.warm_up(timeout_s=TIMEOUT_S)

    assert profile.model_version.startswith("sha256:")
    assert profile.tokenizer_digest.startswith("sha256:")


async def test_a_prepared_set_scores_like_an_unprepared_one(backend: ScoringBackend) -> None:
    """Preparing saves time and changes nothing."""
    await backend.prepare(POLICIES)
    prepared = await backend.score(ScoringRequest(POLICIES, TRIP), timeout_s=TIMEOUT_S)
    other = replace(POLICIES, id="never-prepared")
    unprepared = await backend.score(ScoringRequest(other, TRIP), timeout_s=TIMEOUT_S)

    np.testing.assert_array_equal(prepared.posterior.log_probabilities, unprepared.posterior.log_probabilities)


async def test_readiness_is_said(model: Model) -> None:
    """A warm model is ready."""
    assert await model.is_ready(timeout_s=TIMEOUT_S)


async def test_a_set_with_one_route_is_scored(backend: ScoringBackend) -> None:
    """The smallest set has two candidates: its route and no match."""
    scoring = await backend.score(ScoringRequest(make_set("one"), TRIP), timeout_s=TIMEOUT_S)

    assert (2,) == scoring.posterior.log_probabilities.shape
