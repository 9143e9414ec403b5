"""SelectRoute and GetServerInfo over the wire."""

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct
from tests.support.fake_backend import FAKE_PROFILE
from tests.support.fakes import promised
from tests.support.rpc_service import SUPPORT, VERSION, RpcService, ServiceOptions, running_service, user_says

from archrouter import v1
from archrouter.config import PoliciesSettings

UUID_VERSION_DIGIT = 14


async def test_basic_view_gives_the_decision_without_candidates_and_timing(service: RpcService) -> None:
    """The default view says what was decided and by what, and nothing of how the model weighed it."""
    response = await service.routing.SelectRoute(
        user_says("please repair the crash, an error", view=v1.DecisionView.DECISION_VIEW_UNSPECIFIED)
    )

    decision = response.decision
    parameters = Struct()
    parameters.update({"temperature": 0})
    assert v1.Outcome.OUTCOME_MATCHED == decision.outcome
    assert "programming_bug_fixing" == decision.route_id
    assert ("programming", "bug_fixing") == (decision.domain, decision.action)
    assert [v1.ModelTarget(model="m/coder", parameters=parameters)] == list(decision.models)
    assert ("policySets/support", SUPPORT.revision) == (decision.policy_set, decision.policy_set_revision)
    assert (v1.Tier.TIER_COMPACT, FAKE_PROFILE.model_version) == (decision.tier, decision.model_version)
    assert v1.Usage(prompt_token_count=6, engine_call_count=1) == decision.usage
    assert [] == list(decision.candidates)
    assert not decision.HasField("timing")


async def test_thresholds_that_were_calibrated_for_another_model_are_a_warning() -> None:
    """Whoever reads the decision learns that the promised error is none of it, and why."""
    async with running_service(ServiceOptions(sets=(promised(SUPPORT, "sha256:aa"),))) as service:
        decision = (await service.routing.SelectRoute(user_says("a refund"))).decision

    (warning,) = decision.warnings
    assert v1.WarningCode.WARNING_CODE_THRESHOLDS_STALE == warning.code
    assert {"cause": "model"} == dict(warning.metadata)


async def test_full_view_adds_every_candidate_and_the_timing(service: RpcService) -> None:
    """The full view holds all routes and no match, most probable first, with probabilities that sum to 1."""
    request = user_says("a refund of my invoice", view=v1.DecisionView.DECISION_VIEW_FULL)

    decision = (await service.routing.SelectRoute(request)).decision

    assert "billing" == decision.candidates[0].route_id
    assert decision.confidence == decision.candidates[0].probability
    assert len(SUPPORT.routes) + 1 == len(decision.candidates)
    assert 1 == sum(candidate.kind == v1.CandidateKind.CANDIDATE_KIND_NO_MATCH for candidate in decision.candidates)
    assert pytest.approx(1.0, abs=1e-6) == sum(candidate.probability for candidate in decision.candidates)
    assert decision.timing.total_duration.ToNanoseconds() > 0
    assert not decision.timing.HasField("queue_duration")


async def test_full_view_is_cut_to_max_candidates(service: RpcService) -> None:
    """`max_candidates` keeps the most probable candidates."""
    request = user_says("a refund of my invoice", view=v1.DecisionView.DECISION_VIEW_FULL)
    request.options.max_candidates = 2

    decision = (await service.routing.SelectRoute(request)).decision

    assert 2 == len(decision.candidates)
    assert "billing" == decision.candidates[0].route_id


async def test_no_match_gives_the_fallback_models(service: RpcService) -> None:
    """A conversation that fits no policy gets the fallback models and no route."""
    decision = (await service.routing.SelectRoute(user_says("zzz"))).decision

    assert v1.Outcome.OUTCOME_NO_MATCH == decision.outcome
    assert ("", "", "") == (decision.route_id, decision.domain, decision.action)
    assert ["m/general"] == [target.model for target in decision.models]


async def test_decision_id_is_the_same_in_response_and_trailing_metadata(service: RpcService) -> None:
    """The decision id of a response is a UUIDv7 and also in the trailing metadata."""
    call = service.routing.SelectRoute(user_says("a refund"))

    decision_id = (await call).decision.decision_id

    assert decision_id == (await call.trailing_metadata())["archrouter-decision-id"]
    assert ("7", 36) == (decision_id[UUID_VERSION_DIGIT], len(decision_id))


async def test_correlation_id_is_echoed(service: RpcService) -> None:
    """The caller's own id comes back unchanged."""
    request = user_says("a refund")
    request.correlation_id = "order-\u00fc-1"

    response = await service.routing.SelectRoute(request)

    assert "order-\u00fc-1" == response.correlation_id


async def test_named_policy_set_decides(service: RpcService) -> None:
    """A request may name the policy set it wants."""
    request = user_says("a refund")
    request.policy_set = "policySets/support"

    response = await service.routing.SelectRoute(request)

    assert "policySets/support" == response.decision.policy_set


async def test_inline_policy_set_decides_and_is_counted_as_inline() -> None:
    """A policy set that travels with the request decides, with derived ids, and shares one metric label."""
    request = user_says("what is the weather", view=v1.DecisionView.DECISION_VIEW_BASIC)
    inline = request.inline_policy_set
    inline.routes.add(domain="weather", action="forecast", description="the weather").models.add(model="m/sky")
    inline.fallback_models.add(model="m/general")

    async with running_service(ServiceOptions(policies=PoliciesSettings(inline_enabled=True))) as service:
        decision = (await service.routing.SelectRoute(request)).decision
        counted = service.metric("archrouter_decisions_total", policy_set="inline", outcome="matched")

    assert ("policySets/inline", "weather_forecast") == (decision.policy_set, decision.route_id)
    assert 1 == counted


async def test_request_threshold_turns_a_match_into_low_confidence(service: RpcService) -> None:
    """The threshold of the request stands above every other."""
    request = user_says("a refund")
    request.options.min_confidence = 1.0

    decision = (await service.routing.SelectRoute(request)).decision

    assert v1.Outcome.OUTCOME_LOW_CONFIDENCE == decision.outcome


async def test_tool_result_keeps_the_previous_route(service: RpcService) -> None:
    """An agent that reports a tool's result stays on its route, and the decision says so."""
    request = user_says("please repair the crash")
    request.options.previous_route_id = "billing"
    request.options.turn_kind = v1.TurnKind.TURN_KIND_TOOL_RESULT

    decision = (await service.routing.SelectRoute(request)).decision

    assert ("billing", True) == (decision.route_id, decision.kept)


async def test_ignored_messages_are_a_warning(service: RpcService) -> None:
    """A usable decision on a part of the conversation carries a warning with the numbers."""
    request = user_says("a refund")
    request.messages.insert(0, v1.Message(role=v1.Role.ROLE_SYSTEM, content="be brief"))

    decision = (await service.routing.SelectRoute(request)).decision

    (warning,) = decision.warnings
    assert v1.WarningCode.WARNING_CODE_MESSAGES_IGNORED == warning.code
    assert {"ignoredMessageCount": "1"} == dict(warning.metadata)


async def test_server_info_tells_model_and_limits(service: RpcService) -> None:
    """GetServerInfo gives the release, the model and what a request may hold."""
    info = await service.routing.GetServerInfo(v1.GetServerInfoRequest())

    expected = v1.GetServerInfoResponse(
        version=VERSION,
        model_version=FAKE_PROFILE.model_version,
        tier=v1.Tier.TIER_COMPACT,
        tokenizer_digest=FAKE_PROFILE.tokenizer_digest,
        prompt_template_version="",
        max_prompt_token_count=256,
        max_batch_size=8,
        max_messages=256,
        inline_policies_enabled=False,
        default_policy_set="policySets/support",
        max_budget=Duration(seconds=10),
        default_deadline=Duration(seconds=5),
        min_budget=Duration(nanos=5_000_000),
        routing_mode=v1.RoutingMode.ROUTING_MODE_COMPACT,
        max_request_bytes=4 * 1024 * 1024,
        max_message_characters=1000,
        max_inline_routes=4,
        max_concurrent_calls=64,
        max_explained_messages=8,
    )
    assert expected == info


@pytest.mark.parametrize("policy_set", ["", "support", "policySets/support"])
async def test_a_policy_set_is_named_in_full_by_its_id_or_not_at_all(service: RpcService, policy_set: str) -> None:
    """The id alone is as good as the resource name, and an empty name means the default."""
    request = user_says("a refund")
    request.policy_set = policy_set

    response = await service.routing.SelectRoute(request)

    assert "policy_set" == request.WhichOneof("policy_source")
    assert "policySets/support" == response.decision.policy_set
