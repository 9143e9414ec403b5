"""RoutingService: checks, converts, asks the router, converts back."""

import asyncio
import math
import time
from bisect import bisect_right
from dataclasses import dataclass

import structlog
from google.rpc import error_details_pb2
from grpc import aio

from archrouter import v1
from archrouter.application.select_route import Decision
from archrouter.domain.decision import CandidateKind
from archrouter.domain.errors import (
    ModelNotReadyError,
    NoDefaultPolicySetError,
    PolicySetInvalidError,
    PolicySetNotFoundError,
)
from archrouter.domain.findings import Finding
from archrouter.domain.policy import PolicySet
from archrouter.observability.metrics import DECILES, INLINE_POLICY_SET, Metrics
from archrouter.rpc.admission import Admission, makes_one_decision
from archrouter.rpc.authentication.scopes import Scope
from archrouter.rpc.convert.policies import checked_policy_set_from_proto
from archrouter.rpc.convert.routing import (
    TIERS,
    check_batch,
    check_select_route,
    decision_to_proto,
    duration_to_proto,
    policy_set_id,
    policy_set_name,
    select_route_from_proto,
)
from archrouter.rpc.dependencies import RpcDependencies
from archrouter.rpc.errors import AuthorizationError, InlinePolicyDisabledError
from archrouter.rpc.pipeline import current_call, new_decision_id, record_failure

MAX_BYTES_READ_ON_LOOP = 2048
"""Reading an inline policy set takes about a millisecond per two kilobytes."""

MAX_LOGGED_ITEMS = 64
"""Items of a batch that its log line names, so that the line stays below 8 KiB."""

MODEL_RETRY_AFTER_S = 1.0
"""Loading a model takes seconds; asking more often finds out nothing sooner."""


class RoutingServicer(v1.RoutingServiceServicer):
    """Handlers of RoutingService. What they raise is mapped by the pipeline."""

    def __init__(self, dependencies: RpcDependencies, admission: Admission) -> None:
        """Serve from `dependencies`; the items of a batch ask `admission` one by one."""
        self._dependencies = dependencies
        self._admission = admission

    async def SelectRoute(  # noqa: N802  # named by the API
        self,
        request: v1.SelectRouteRequest,
        context: aio.ServicerContext[v1.SelectRouteRequest, v1.SelectRouteResponse],
    ) -> v1.SelectRouteResponse:
        """Decide one conversation."""
        del context
        call = current_call()
        check_select_route(request, self._dependencies.limits)
        if request.correlation_id:
            call.log_fields["correlation_id"] = request.correlation_id
        decision = await self._decide(request, call.decision_id, _InlinePolicySets())
        call.log_fields.update(log_fields(decision))
        return _response(request, decision)

    async def BatchSelectRoutes(  # noqa: N802  # named by the API
        self,
        request: v1.BatchSelectRoutesRequest,
        context: aio.ServicerContext[v1.BatchSelectRoutesRequest, v1.BatchSelectRoutesResponse],
    ) -> v1.BatchSelectRoutesResponse:
        """Decide several conversations at a time; an item that fails does not fail the others."""
        del context
        check_batch(request, self._dependencies.limits)
        inline = _InlinePolicySets()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._item(item, inline)) for item in request.requests]
        items = [task.result() for task in tasks]
        current_call().log_fields.update(
            item_count=len(items),
            failed_item_count=sum(item.result.HasField("error") for item in items),
            items=[f"{item.decision_id} {item.outcome}" for item in items[:MAX_LOGGED_ITEMS]],
        )
        return v1.BatchSelectRoutesResponse(results=[item.result for item in items])

    async def GetServerInfo(  # noqa: N802  # named by the API
        self,
        request: v1.GetServerInfoRequest,
        context: aio.ServicerContext[v1.GetServerInfoRequest, v1.GetServerInfoResponse],
    ) -> v1.GetServerInfoResponse:
        """Tell what this server is and what it accepts."""
        del request, context
        profile = self._dependencies.profile()
        if profile is None:
            msg = "the model has not answered its first call yet"
            raise ModelNotReadyError(msg, retry_after_s=MODEL_RETRY_AFTER_S)
        limits, default_id = self._dependencies.limits, self._default_id()
        routing = self._dependencies.routing
        return v1.GetServerInfoResponse(
            version=self._dependencies.version,
            model_version=profile.model_version,
            tier=TIERS[profile.tier],
            tokenizer_digest=profile.tokenizer_digest,
            prompt_template_version=profile.prompt_template_version,
            max_prompt_token_count=profile.max_prompt_token_count,
            max_batch_size=limits.max_batch_size,
            max_messages=limits.max_messages,
            inline_policies_enabled=self._dependencies.policies.inline_enabled,
            default_policy_set=policy_set_name(default_id) if default_id else "",
            max_budget=duration_to_proto(routing.max_budget_s),
            default_deadline=duration_to_proto(routing.default_deadline_s),
            min_budget=duration_to_proto(routing.min_budget_s),
            routing_mode=v1.RoutingMode.Value(f"ROUTING_MODE_{routing.mode.upper()}"),
            max_request_bytes=self._dependencies.server.max_receive_bytes,
            max_message_characters=limits.max_message_characters,
            max_inline_routes=limits.max_inline_routes,
            max_concurrent_calls=self._dependencies.server.max_concurrent_calls,
            max_explained_messages=limits.max_explained_messages,
        )

    async def _item(self, request: v1.SelectRouteRequest, inline: "_InlinePolicySets") -> "_Item":
        decision_id = new_decision_id()
        with structlog.contextvars.bound_contextvars(decision_id=decision_id):
            try:
                check_select_route(request, self._dependencies.limits)
                async with self._admission.item(is_measured=makes_one_decision(request)):
                    decision = await self._decide(request, decision_id, inline)
            except Exception as error:  # noqa: BLE001  # supervises one task of the batch
                failure = record_failure(error, decision_id)
                # What the trailing metadata tells of a call, the details must tell of an item.
                failure.status.details.add().Pack(error_details_pb2.RequestInfo(request_id=decision_id))
                return _Item(decision_id, failure.reason, v1.SelectRouteResult(error=failure.status))
        return _Item(decision_id, decision.outcome.value, v1.SelectRouteResult(response=_response(request, decision)))

    async def _decide(self, request: v1.SelectRouteRequest, decision_id: str, inline: "_InlinePolicySets") -> Decision:
        policy_set = None
        source = request.WhichOneof("policy_source")
        if current_call().caller is not None:
            self._check_sees(source, request.policy_set)
        if source == "inline_policy_set":
            if not self._dependencies.policies.inline_enabled:
                raise InlinePolicyDisabledError
            policy_set = await inline.read(request.inline_policy_set)
        question = select_route_from_proto(
            request,
            decision_id,
            inline_policy_set=policy_set,
            default_min_confidence=self._dependencies.routing.default_min_confidence,
        )
        budget_s = current_call().deadline_s - time.monotonic()
        decision = await self._dependencies.router.select_route(question, budget_s=budget_s)
        count_decision(self._dependencies.metrics, decision)
        if (decision_log := self._dependencies.decision_log) is not None:
            caller = str(current_call().log_fields.get("caller", ""))
            decision_log.record(question, decision, caller=caller, correlation_id=request.correlation_id)
        return decision

    def _check_sees(self, source: str | None, name: str) -> None:
        """Refuse the policy sets that are not the caller's.

        The answer follows from the name and the caller alone, so it is the same, to the byte and the microsecond,
        whether the set exists or not.
        """
        caller = current_call().caller
        if caller is None:
            return
        if source == "inline_policy_set":
            if not caller.may(Scope.INLINE):
                raise AuthorizationError(Scope.INLINE.value)
        elif not caller.sees_all(Scope.ROUTE):
            wanted = policy_set_id(name) if name else self._default_id()
            if wanted is None:
                raise NoDefaultPolicySetError
            if not caller.sees(Scope.ROUTE, wanted):
                raise PolicySetNotFoundError(wanted)

    def _default_id(self) -> str | None:
        """Name the set for requests that name none; None where the caller does not see it."""
        caller, default_id = current_call().caller, self._dependencies.store.default_id
        if default_id is None or caller is None or caller.sees(Scope.ROUTE, default_id):
            return default_id
        return None


@dataclass(frozen=True, slots=True)
class _Item:
    """What became of one item of a batch; `outcome` is the decision's, or the reason of the error."""

    decision_id: str
    outcome: str
    result: v1.SelectRouteResult


class _InlinePolicySets:
    """The policy sets that travel with one call: equal ones are read once, and large ones off the event loop."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Lock()
        self._read: dict[bytes, tuple[PolicySet | None, tuple[Finding, ...]]] = {}

    async def read(self, message: v1.PolicySet) -> PolicySet:
        encoded = message.SerializeToString(deterministic=True)
        async with self._one_at_a_time:
            if encoded not in self._read:
                if len(encoded) > MAX_BYTES_READ_ON_LOOP:
                    self._read[encoded] = await asyncio.to_thread(checked_policy_set_from_proto, message)
                else:
                    self._read[encoded] = checked_policy_set_from_proto(message)
        policy_set, findings = self._read[encoded]
        if policy_set is None:
            raise PolicySetInvalidError(findings)
        return policy_set


def _response(request: v1.SelectRouteRequest, decision: Decision) -> v1.SelectRouteResponse:
    message = decision_to_proto(decision, request.view, max_candidates=request.options.max_candidates)
    return v1.SelectRouteResponse(decision=message, correlation_id=request.correlation_id)


def log_fields(decision: Decision) -> dict[str, object]:
    """List what a decision adds to the log line of its call: ids, counts, seconds; nothing of the conversation."""
    return {
        "policy_set": decision.policy_set.id,
        "policy_set_revision": decision.policy_set.revision,
        "outcome": decision.outcome.value,
        "route_id": decision.route.id if decision.route else "",
        "confidence": round(decision.confidence, 6),
        "reasons": [reason.value for reason in decision.reasons],
        "prompt_token_count": decision.usage.prompt_token_count,
        "dropped_token_count": decision.usage.dropped_token_count,
        "backend_duration_s": round(decision.times.queue_s + decision.times.inference_s, 6),
        "model_version": decision.profile.model_version,
        "tier": decision.profile.tier.value,
    }


def count_decision(metrics: Metrics, decision: Decision) -> None:
    """Count a decision. Every inline policy set counts as one, so that callers add no series."""
    policy_set = INLINE_POLICY_SET if decision.inline else decision.policy_set.id
    metrics.decisions.labels(policy_set, decision.outcome.value).inc()
    metrics.confidence.labels(policy_set).observe(decision.confidence)
    metrics.prompt_tokens.observe(decision.usage.prompt_token_count)
    if decision.usage.dropped_token_count:
        metrics.truncations.inc()
    metrics.stage_duration.labels("tokenize").observe(decision.times.tokenize_s)
    metrics.stage_duration.labels("inference").observe(decision.times.inference_s)
    if decision.times.queue_s:  # 0: the inference server did not tell
        metrics.stage_duration.labels("queue").observe(decision.times.queue_s)
    _count_drift(metrics, policy_set, decision)


def _count_drift(metrics: Metrics, policy_set: str, decision: Decision) -> None:
    """Count what shows that conversations or policies are no longer like those the model was calibrated on."""
    tier, reference, leader = decision.profile.tier.value, decision.profile.reference, decision.candidates[0]
    entropy = -sum([each * math.log(each) for _, _, each, *_ in decision.candidates if each > 0])
    metrics.top_probability.labels(policy_set, tier).observe(leader.probability)
    metrics.entropy.labels(policy_set, tier).observe(entropy / math.log(len(decision.candidates)))
    if leader.kind is CandidateKind.NO_MATCH:
        metrics.no_match_leads.labels(policy_set, tier).inc()
    if reference is not None:
        decile = bisect_right(reference.top_probability_deciles, leader.probability)
        metrics.reference_deciles.labels(policy_set, tier, DECILES[decile]).inc()
        metrics.reference_no_match.labels(tier).set(reference.no_match_share)
        metrics.reference_entropy.labels(tier).set(reference.mean_entropy)
