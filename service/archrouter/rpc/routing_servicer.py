"""RoutingService: checks, converts, asks the router, converts back."""

import asyncio

import structlog
from grpc import aio

from archrouter import v1
from archrouter.domain.decision import Decision
from archrouter.domain.errors import ModelNotReadyError
from archrouter.rpc.call import current_call
from archrouter.rpc.convert import decision_to_proto, select_route_from_proto, server_info_to_proto
from archrouter.rpc.decision_facts import log_fields, measurements
from archrouter.rpc.dependencies import RpcDependencies
from archrouter.rpc.failures import record_failure
from archrouter.rpc.validation import check_batch, check_select_route

MODEL_RETRY_AFTER_S = 1.0
"""Loading a model takes seconds; asking more often finds out nothing sooner."""


class RoutingServicer(v1.RoutingServiceServicer):
    """Handlers of RoutingService. What they raise is mapped by the error interceptor."""

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
        decision_id = self._dependencies.new_decision_id()
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
        budget_s = current_call().deadline_s - self._dependencies.clock.monotonic_s()
        decision = await self._dependencies.router.select_route(question, budget_s=budget_s)
        self._dependencies.metrics.count_decision(measurements(decision))
        return decision


def _response(request: v1.SelectRouteRequest, decision: Decision) -> v1.SelectRouteResponse:
    message = decision_to_proto(decision, request.view, max_candidates=request.options.max_candidates)
    return v1.SelectRouteResponse(decision=message, correlation_id=request.correlation_id)
