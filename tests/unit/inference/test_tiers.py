"""Two tiers behind one backend: who decides, what it says of why, and what a failure of either costs."""

from dataclasses import replace

import pytest
from tests.support.fake_backend import FAKE_PROFILE
from tests.support.fakes import make_set
from tests.support.fleet_scene import QUESTION, WATCH
from tests.support.rpc_service import GatedBackend

from archrouter.config import RoutingSettings
from archrouter.domain.conversation import Conversation, Message, Role
from archrouter.domain.decision import DecisionReason
from archrouter.domain.errors import (
    ArchRouterError,
    BackendProtocolError,
    BackendUnavailableError,
    BudgetExceededError,
    OverloadedError,
    PromptTooLongError,
)
from archrouter.domain.scoring import Scoring, ScoringRequest, Tier
from archrouter.inference.endpoint import Endpoint, EndpointList, EndpointSpec, EndpointState
from archrouter.inference.fleet import Fleet
from archrouter.inference.tiers import Tiers

AWAY = BackendUnavailableError("gone", retry_after_s=1.0)
UNSURE = ScoringRequest(QUESTION.policy_set, Conversation.from_messages((Message(Role.USER, "tell a joke"),)))
"""The fake gives no match 0.82; of `QUESTION` it gives the route 0.99."""
TIMEOUT_S = 1.0


class Scene:
    """Both tiers over fakes."""

    def __init__(self, *, min_confidence: float | None = None, falls_back: bool = False) -> None:
        """Wire them."""
        self.engine, self.compact = GatedBackend(), GatedBackend()
        self.engine.profile = replace(FAKE_PROFILE, tier=Tier.ENGINE, model_version="sha256:engine")
        routing = RoutingSettings(
            mode="engine" if min_confidence is None else "cascade",
            cascade_min_confidence=min_confidence or 0.0,
            on_engine_failure="compact" if falls_back else "none",
            compact_reserve_s=0.25,
        )
        self.tiers = Tiers(fleet_of(self.engine), fleet_of(self.compact), routing)

    async def score(self, request: ScoringRequest = QUESTION, timeout_s: float = TIMEOUT_S) -> Scoring:
        """Ask."""
        return await self.tiers.score(request, timeout_s=timeout_s)


def fleet_of(backend: GatedBackend) -> Fleet:
    """Make a fleet of one ready endpoint."""
    fleet = Fleet(lambda: EndpointList((), ()), lambda _spec: backend, lambda _status: None, WATCH)
    endpoint = Endpoint(EndpointSpec("a:8001", "m"), backend, tuple, WATCH)
    endpoint.state = EndpointState.READY
    fleet.endpoints = (endpoint,)
    return fleet


def who_and_why(scoring: Scoring) -> tuple[Tier, tuple[DecisionReason, ...]]:
    """Say which tier decided and its reasons."""
    return scoring.profile.tier, scoring.reasons


async def test_a_sure_compact_tier_decides_alone() -> None:
    """The engine is not asked."""
    scene = Scene(min_confidence=0.9)

    assert (Tier.COMPACT, (DecisionReason.COMPACT_SURE,)) == who_and_why(await scene.score())
    assert [] == scene.engine.timeouts_s


async def test_an_unsure_compact_tier_leaves_it_to_the_engine() -> None:
    """Both calls are in the cost, and the engine gets the time that is left."""
    scene = Scene(min_confidence=0.9)

    scoring = await scene.score(UNSURE)

    assert (Tier.ENGINE, (DecisionReason.COMPACT_UNSURE,)) == who_and_why(scoring)
    assert 2 == scoring.usage.engine_call_count
    assert 0 < scene.engine.timeouts_s[0] < TIMEOUT_S


@pytest.mark.parametrize(
    "failure",
    [
        AWAY,
        OverloadedError("full", retry_after_s=1.0),
        BackendProtocolError("broken"),
        PromptTooLongError(prompt_token_count=9, max_prompt_token_count=8),
    ],
)
async def test_a_cascade_without_its_compact_tier_asks_the_engine(failure: ArchRouterError) -> None:
    """The first step of a cascade is an economy, not a condition."""
    scene = Scene(min_confidence=0.9)
    scene.compact.failure = failure

    assert (Tier.ENGINE, ()) == who_and_why(await scene.score())


async def test_a_cascade_does_not_fall_back_unless_it_may() -> None:
    """A guess below the threshold is no decision."""
    scene = Scene(min_confidence=0.9)
    scene.engine.failure = AWAY

    with pytest.raises(BackendUnavailableError):
        await scene.score(UNSURE)


async def test_a_cascade_that_falls_back_takes_the_guess_it_has() -> None:
    """The compact tier is asked once."""
    scene = Scene(min_confidence=0.9, falls_back=True)
    scene.engine.failure = AWAY

    scoring = await scene.score(UNSURE)

    assert (Tier.COMPACT, (DecisionReason.COMPACT_UNSURE, DecisionReason.ENGINE_UNAVAILABLE)) == who_and_why(scoring)
    assert 1 == len(scene.compact.timeouts_s)


@pytest.mark.parametrize(
    "failure",
    [
        AWAY,
        OverloadedError("full", retry_after_s=1.0),
        BackendProtocolError("not finite"),
        BudgetExceededError(remaining_s=0.0),
    ],
)
async def test_the_compact_tier_decides_for_an_engine_without_an_answer(failure: ArchRouterError) -> None:
    """Whatever kept the engine from answering."""
    scene = Scene(falls_back=True)
    scene.engine.failure = failure

    assert (Tier.COMPACT, (DecisionReason.ENGINE_UNAVAILABLE,)) == who_and_why(await scene.score())


async def test_an_engine_that_is_well_decides_alone() -> None:
    """A fallback that is not needed costs and says nothing, but the engine leaves it its time."""
    scene = Scene(falls_back=True)

    assert (Tier.ENGINE, ()) == who_and_why(await scene.score())
    assert [] == scene.compact.timeouts_s
    assert 0.7 < scene.engine.timeouts_s[0] <= 0.75


async def test_a_short_deadline_leaves_no_time_aside() -> None:
    """Where the reserve would be most of it, the engine gets all of it."""
    scene = Scene(falls_back=True)

    await scene.score(timeout_s=0.4)

    assert 0.35 < scene.engine.timeouts_s[0] <= 0.4


async def test_two_tiers_that_fail_tell_of_both() -> None:
    """The caller gets the second failure; the log finds the first behind it."""
    scene = Scene(falls_back=True)
    scene.engine.failure, scene.compact.failure = AWAY, OverloadedError("full", retry_after_s=1.0)

    with pytest.raises(OverloadedError) as caught:
        await scene.score()

    assert AWAY is caught.value.__cause__


@pytest.mark.parametrize("tier", list(Tier))
async def test_a_tier_that_must_answer_is_asked_alone(tier: Tier) -> None:
    """What explains a decision comes from the tier that made it, and from no other where that one fails."""
    scene = Scene(min_confidence=0.9, falls_back=True)
    asked, other = (scene.engine, scene.compact) if tier is Tier.ENGINE else (scene.compact, scene.engine)

    scoring = await scene.score(replace(UNSURE, only_tier=tier))
    asked.failure = AWAY
    with pytest.raises(BackendUnavailableError):
        await scene.score(replace(UNSURE, only_tier=tier))

    assert (tier, ()) == who_and_why(scoring)
    assert [] == other.timeouts_s


async def test_policy_sets_are_prepared_and_released_in_both_tiers() -> None:
    """Either may decide at any time."""
    scene = Scene(falls_back=True)

    await scene.tiers.prepare(make_set("one"))
    scene.tiers.release(make_set("one"))

    assert (["one"], ["one"]) == (scene.engine.prepared, scene.compact.prepared)
    assert (["one"], ["one"]) == (scene.engine.released, scene.compact.released)


async def test_a_set_that_the_engine_refuses_is_kept_in_neither_tier() -> None:
    """One that was being served before stays."""
    scene = Scene(falls_back=True)
    await scene.tiers.prepare(make_set("served"))
    scene.engine.prepare_failure = PromptTooLongError(prompt_token_count=9, max_prompt_token_count=8)

    for name in ("new", "served"):
        with pytest.raises(PromptTooLongError):
            await scene.tiers.prepare(make_set(name))

    assert ["new"] == scene.compact.released
