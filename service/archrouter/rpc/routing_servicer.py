"""RoutingService: checks, converts, asks the router, converts back."""

import asyncio
import time

import structlog
from grpc import aio

from archrouter import v1
from archrouter.application.select_route import Decision
from archrouter.domain.errors import ModelNotReadyError
from archrouter.observability.metrics import INLINE_POLICY_SET, Metrics
from archrouter.rpc.convert import decision_to_proto, select_route_from_proto, server_info_to_proto
from archrouter.rpc.dependencies import RpcDependencies
from archrouter.rpc.pipeline import current_call, new_decision_id, record_failure
from archrouter.rpc.validation import check_batch, check_select_route

MODEL_RETRY_AFTER_S = 1.0
"""Loading a model takes seconds; asking more often finds out nothing sooner."""


class RoutingServicer(v1.RoutingServiceServicer):
    """Handlers of RoutingService. What they raise is mapped by the pipeline."""

    def __init__(self, dependencies: RpcDependencies) -> None:
        """Serve from `dependencies`."""
        self._dependencies = dependencies

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
        decision = await self._decide(request, call.decision_id)
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
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._result(item)) for item in request.requests]
        results = [task.result() for task in tasks]
        failed_item_count = sum(result.HasField("error") for result in results)
        current_call().log_fields.update(item_count=len(results), failed_item_count=failed_item_count)
        return v1.BatchSelectRoutesResponse(results=results)

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
        return server_info_to_proto(
            profile,
            self._dependencies.limits,
            version=self._dependencies.version,
            inline_enabled=self._dependencies.policies.inline_enabled,
            default_policy_set_id=self._dependencies.store.default_id,
        )

    async def _result(self, request: v1.SelectRouteRequest) -> v1.SelectRouteResult:
        decision_id = new_decision_id()
        with structlog.contextvars.bound_contextvars(decision_id=decision_id):
            try:
                check_select_route(request, self._dependencies.limits)
                decision = await self._decide(request, decision_id)
            except Exception as error:  # noqa: BLE001  # supervises one task of the batch
                return v1.SelectRouteResult(error=record_failure(error, decision_id))
        return v1.SelectRouteResult(response=_response(request, decision))

    async def _decide(self, request: v1.SelectRouteRequest, decision_id: str) -> Decision:
        question = select_route_from_proto(
            request, decision_id, default_min_confidence=self._dependencies.routing.default_min_confidence
        )
        budget_s = current_call().deadline_s - time.monotonic()
        decision = await self._dependencies.router.select_route(question, budget_s=budget_s)
        count_decision(self._dependencies.metrics, decision)
        return decision


def _response(request: v1.SelectRouteRequest, decision: Decision) -> v1.SelectRouteResponse:
    message = decision_to_proto(decision, request.view, max_candidates=request.options.max_candidates)
    return v1.SelectRouteResponse(decision=message, correlation_id=request.correlation_id)


def log_fields(decision: Decision) -> dict[str, object]:
    """List the fields a decision adds to the log line of its call: ids, counts and times, nothing of the conversation.

    Args:
        decision: What was decided.

    Returns:
        Fields by name; durations in seconds.
    """
    return {
        "policy_set": decision.policy_set.id,
        "policy_set_revision": decision.policy_set.revision,
        "outcome": decision.outcome.value,
        "route_id": decision.route.id if decision.route else "",
        "confidence": round(decision.confidence, 6),
        "prompt_token_count": decision.usage.prompt_token_count,
        "dropped_token_count": decision.usage.dropped_token_count,
        "backend_duration_s": round(decision.times.queue_s + decision.times.inference_s, 6),
        "model_version": decision.profile.model_version,
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
