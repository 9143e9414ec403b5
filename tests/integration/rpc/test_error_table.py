"""Every row of the API's error table but the two of authentication, as a client sees it over the wire."""

import hashlib

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc import StatusCode, aio
from tests.support.rpc_service import SUPPORT, RpcService, ServiceOptions, refusal_of, running_service, user_says

from archrouter import v1
from archrouter.config import PoliciesSettings, RoutingSettings, ServerSettings
from archrouter.domain.errors import (
    ArchRouterError,
    BackendProtocolError,
    BackendUnavailableError,
    ModelNotReadyError,
    OverloadedError,
    PromptTooLongError,
)
from archrouter.domain.policy import PolicySet
from archrouter.rpc.authentication.authenticator import Authenticator
from archrouter.rpc.authentication.callers import Callers

LISTEN = "127.0.0.1:0"
INTERNAL_MESSAGE = "the server failed; report the decision id to its operator"

ADMIN = Authenticator(Callers.from_text(f"{hashlib.sha256(b'admin-token').hexdigest()} operator admin"))


def violation(field: str, description: str) -> error_details_pb2.BadRequest:
    """Build the detail of a request with one malformed field."""
    return error_details_pb2.BadRequest(
        field_violations=[error_details_pb2.BadRequest.FieldViolation(field=field, description=description)]
    )


def unmet(setting: str, description: str) -> error_details_pb2.PreconditionFailure:
    """Build the detail of a switched-off feature."""
    return error_details_pb2.PreconditionFailure(
        violations=[
            error_details_pb2.PreconditionFailure.Violation(type="SETTING", subject=setting, description=description)
        ]
    )


async def test_malformed_request_names_the_field(service: RpcService) -> None:
    """A malformed field is INVALID_ARGUMENT with its proto path in BadRequest."""
    request = v1.SelectRouteRequest(messages=[v1.Message(content="hello")])

    refusal = await refusal_of(service.routing.SelectRoute(request))

    expected = {"field": "messages[0].role", "violationCount": "1"}
    assert (StatusCode.INVALID_ARGUMENT, "ERROR_REASON_REQUEST_INVALID", expected) == refusal.summary
    assert (violation("messages[0].role", "is unset; say who wrote the message"),) == refusal.further


async def test_malformed_request_names_every_field_at_once(service: RpcService) -> None:
    """All malformed fields of a request are reported by one call."""
    request = user_says("hello")
    request.view = v1.DecisionView.ValueType(99)
    request.options.min_confidence = 1.5
    request.correlation_id = "c" * 65

    refusal = await refusal_of(service.routing.SelectRoute(request))

    (detail,) = refusal.further
    assert isinstance(detail, error_details_pb2.BadRequest)
    assert ["options.min_confidence", "view", "correlation_id"] == [one.field for one in detail.field_violations]


async def test_limit_of_messages_is_reported_with_its_setting(service: RpcService) -> None:
    """A conversation beyond a limit is INVALID_ARGUMENT, and the message names the setting."""
    refusal = await refusal_of(service.routing.SelectRoute(user_says("x" * 1001)))

    expected = {"field": "messages[0].content", "violationCount": "1"}
    assert (StatusCode.INVALID_ARGUMENT, "ERROR_REASON_REQUEST_INVALID", expected) == refusal.summary
    assert "limits.max_message_characters" in refusal.message


async def test_status_of_a_huge_violation_list_fits_into_metadata(service: RpcService) -> None:
    """A request with more violations than metadata can carry still gets its own status, not one of the transport."""
    request = v1.SelectRouteRequest(messages=[v1.Message(content="x")] * 256, policy_set="\U0001f600" * 10_000)

    refusal = await refusal_of(service.routing.SelectRoute(request))

    assert (StatusCode.INVALID_ARGUMENT, "257") == (refusal.code, refusal.info.metadata["violationCount"])


async def test_undecodable_request_is_invalid_argument(service: RpcService) -> None:
    """Bytes that are no message are the caller's fault, and the decoder's text stays inside."""
    call: aio.UnaryUnaryMultiCallable[bytes, bytes] = service.channel.unary_unary(
        "/archrouter.v1.RoutingService/SelectRoute"
    )

    refusal = await refusal_of(call(b"\xff\xff\xff"))

    assert StatusCode.INVALID_ARGUMENT == refusal.code
    assert "the bytes are no request of SelectRoute; use a client generated from archrouter/v1" == refusal.message


async def test_prompt_too_long_gives_both_counts(service: RpcService) -> None:
    """A prompt beyond the model's limit is INVALID_ARGUMENT with the counts in the metadata."""
    service.backend.failure = PromptTooLongError(prompt_token_count=4711, max_prompt_token_count=4096)

    refusal = await refusal_of(service.routing.SelectRoute(user_says("hello")))

    expected = {"promptTokenCount": "4711", "maxPromptTokenCount": "4096"}
    assert (StatusCode.INVALID_ARGUMENT, "ERROR_REASON_PROMPT_TOO_LONG", expected) == refusal.summary
    assert () == refusal.further


async def test_invalid_inline_policy_set_names_the_rule_in_proto_words() -> None:
    """A broken rule of an inline policy set is INVALID_ARGUMENT with the path the field has in the proto."""
    request = user_says("hello")
    request.inline_policy_set.routes.add(id="billing", description="an invoice").models.add(model="m/small")

    async with running_service(ServiceOptions(policies=PoliciesSettings(inline_enabled=True))) as service:
        refusal = await refusal_of(service.routing.SelectRoute(request))

    expected = {"field": "inline_policy_set.fallback_models", "violationCount": "1"}
    assert (StatusCode.INVALID_ARGUMENT, "ERROR_REASON_POLICY_SET_INVALID", expected) == refusal.summary
    text = "no fallback model; name at least one for requests that no policy matches"
    assert (violation("inline_policy_set.fallback_models", text),) == refusal.further


async def test_inline_policy_set_is_refused_where_disabled(service: RpcService) -> None:
    """An inline policy set on a server that takes none is FAILED_PRECONDITION with the switch."""
    request = user_says("hello")
    request.inline_policy_set.description = "mine"

    refusal = await refusal_of(service.routing.SelectRoute(request))

    expected = {"setting": "policies.inline_enabled"}
    assert (StatusCode.FAILED_PRECONDITION, "ERROR_REASON_INLINE_POLICY_DISABLED", expected) == refusal.summary
    assert (unmet("policies.inline_enabled", refusal.message),) == refusal.further


async def test_unknown_policy_set_names_the_resource(service: RpcService) -> None:
    """A policy set that is not loaded is NOT_FOUND with ResourceInfo."""
    request = user_says("hello")
    request.policy_set = "policySets/absent"

    refusal = await refusal_of(service.routing.SelectRoute(request))

    expected = {"policySet": "policySets/absent"}
    assert (StatusCode.NOT_FOUND, "ERROR_REASON_POLICY_SET_NOT_FOUND", expected) == refusal.summary
    detail = error_details_pb2.ResourceInfo(
        resource_type="archrouter/PolicySet", resource_name="policySets/absent", description=refusal.message
    )
    assert (detail,) == refusal.further


async def test_a_revision_that_is_not_kept_names_the_active_one(service: RpcService) -> None:
    """A pinned revision that was never active here is NOT_FOUND with what to ask for instead."""
    request = user_says("hello")
    request.policy_set_revision = "sha256:" + "0" * 64

    refusal = await refusal_of(service.routing.SelectRoute(request))

    expected = {"policySet": "policySets/support", "activeRevision": SUPPORT.revision}
    assert (StatusCode.NOT_FOUND, "ERROR_REASON_POLICY_SET_REVISION_NOT_FOUND", expected) == refusal.summary
    detail = error_details_pb2.ResourceInfo(
        resource_type="archrouter/PolicySet", resource_name="policySets/support", description=refusal.message
    )
    assert (detail,) == refusal.further


async def test_missing_default_policy_set_names_the_setting() -> None:
    """A request that names no policy set, on a server with several and no default, is FAILED_PRECONDITION."""
    other = PolicySet("other-set", "", SUPPORT.routes, SUPPORT.fallback_models)
    options = ServiceOptions(policies=PoliciesSettings(), sets=(SUPPORT, other))

    async with running_service(options) as service:
        refusal = await refusal_of(service.routing.SelectRoute(user_says("hello")))

    expected = {"setting": "policies.default"}
    assert (StatusCode.FAILED_PRECONDITION, "ERROR_REASON_DEFAULT_POLICY_SET_MISSING", expected) == refusal.summary
    assert (unmet("policies.default", refusal.message),) == refusal.further


async def test_disabled_rpc_names_the_setting() -> None:
    """An administrator who reloads on a server that does not serve it gets FAILED_PRECONDITION with the switch."""
    policies = PoliciesSettings(reload_enabled=False)

    async with running_service(ServiceOptions(policies=policies, authenticator=ADMIN)) as service:
        metadata = (("authorization", "Bearer admin-token"),)
        refusal = await refusal_of(service.policies.ReloadPolicySets(v1.ReloadPolicySetsRequest(), metadata=metadata))

    expected = {"setting": "policies.reload_enabled"}
    assert (StatusCode.FAILED_PRECONDITION, "ERROR_REASON_FEATURE_DISABLED", expected) == refusal.summary
    assert (unmet("policies.reload_enabled", refusal.message),) == refusal.further


async def test_call_beyond_admission_is_refused_at_once() -> None:
    """One call more than the server takes is RESOURCE_EXHAUSTED with RetryInfo while the others go on."""
    options = ServiceOptions(server=ServerSettings(listen=LISTEN, max_concurrent_calls=1))

    async with running_service(options) as service:
        service.backend.gate.clear()
        first = service.routing.SelectRoute(user_says("hello"))
        await service.backend.waiting.wait()
        refusal = await refusal_of(service.routing.SelectRoute(user_says("hello")))
        service.backend.gate.set()
        await first

    assert (StatusCode.RESOURCE_EXHAUSTED, "ERROR_REASON_OVERLOADED", {}) == refusal.summary
    assert (error_details_pb2.RetryInfo(retry_delay=Duration(nanos=500_000_000)),) == refusal.further


@pytest.mark.parametrize(
    ("failure", "code", "reason", "message"),
    [
        pytest.param(
            OverloadedError("queue of 10.0.0.7 is full", retry_after_s=1.5),
            StatusCode.RESOURCE_EXHAUSTED,
            "ERROR_REASON_OVERLOADED",
            "the server has as many calls in flight as it takes; retry after the delay in RetryInfo",
            id="overloaded",
        ),
        pytest.param(
            BackendUnavailableError("10.0.0.7 refused", retry_after_s=1.5),
            StatusCode.UNAVAILABLE,
            "ERROR_REASON_BACKEND_UNAVAILABLE",
            "the inference server does not answer; retry after the delay in RetryInfo",
            id="backend_unavailable",
        ),
        pytest.param(
            ModelNotReadyError("10.0.0.7 is loading", retry_after_s=1.5),
            StatusCode.UNAVAILABLE,
            "ERROR_REASON_MODEL_NOT_READY",
            "the model is not ready yet; retry after the delay in RetryInfo",
            id="model_not_ready",
        ),
    ],
)
async def test_failing_backend_advises_a_delay_and_hides_its_text(
    service: RpcService, failure: ArchRouterError, code: StatusCode, reason: str, message: str
) -> None:
    """A backend that cannot answer is reported with RetryInfo and a text that tells nothing of the inside."""
    service.backend.failure = failure

    refusal = await refusal_of(service.routing.SelectRoute(user_says("hello")))

    assert (code, reason, {}) == refusal.summary
    assert message == refusal.message
    assert (error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000)),) == refusal.further


async def test_server_info_before_the_model_is_warm_is_unavailable(service: RpcService) -> None:
    """A server whose model has not answered yet says so instead of inventing its facts."""
    service.profile = None

    refusal = await refusal_of(service.routing.GetServerInfo(v1.GetServerInfoRequest()))

    assert (StatusCode.UNAVAILABLE, "ERROR_REASON_MODEL_NOT_READY", {}) == refusal.summary
    assert (error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1)),) == refusal.further


async def test_new_call_while_shutting_down_is_sent_elsewhere(service: RpcService) -> None:
    """A process that takes no further calls answers UNAVAILABLE with RetryInfo, and finishes those in flight."""
    service.backend.gate.clear()
    first = service.routing.SelectRoute(user_says("a refund"))
    await service.backend.waiting.wait()
    service.health.close()

    refusal = await refusal_of(service.routing.SelectRoute(user_says("hello")))
    service.backend.gate.set()

    assert (StatusCode.UNAVAILABLE, "ERROR_REASON_SHUTTING_DOWN", {}) == refusal.summary
    assert (error_details_pb2.RetryInfo(retry_delay=Duration(nanos=100_000_000)),) == refusal.further
    assert "billing" == (await first).decision.route_id


async def test_deadline_too_short_is_refused_before_any_work() -> None:
    """A deadline that leaves no time for a decision fails in the server, before the model is asked."""
    options = ServiceOptions(routing=RoutingSettings(min_budget_s=60.0, max_budget_s=5.0))

    async with running_service(options) as service:
        refusal = await refusal_of(service.routing.SelectRoute(user_says("hello"), timeout=30))

    assert (StatusCode.DEADLINE_EXCEEDED, "ERROR_REASON_DEADLINE_TOO_SHORT") == refusal.summary[:2]
    assert 0 < float(refusal.info.metadata["remainingSeconds"]) <= 5
    assert [] == service.backend.timeouts_s


async def test_broken_tensor_contract_is_internal_with_the_decision_id_only(service: RpcService) -> None:
    """An answer that is no answer is INTERNAL, and of the cause only the decision id leaves the process."""
    service.backend.failure = BackendProtocolError("scores of 10.0.0.7 are NaN")

    refusal = await refusal_of(service.routing.SelectRoute(user_says("hello")))

    expected = {"decisionId": refusal.decision_id}
    assert (StatusCode.INTERNAL, "ERROR_REASON_BACKEND_PROTOCOL", expected) == refusal.summary
    assert INTERNAL_MESSAGE == refusal.message
    assert () == refusal.further


async def test_unknown_exception_never_reaches_the_client(service: RpcService) -> None:
    """The text of an exception nobody expected stays in the process; the client gets a decision id."""
    service.backend.crash = RuntimeError("password=hunter2")

    refusal = await refusal_of(service.routing.SelectRoute(user_says("hello")))

    assert (StatusCode.INTERNAL, "ERROR_REASON_INTERNAL", {"decisionId": refusal.decision_id}) == refusal.summary
    assert INTERNAL_MESSAGE == refusal.message
    assert () == refusal.further
