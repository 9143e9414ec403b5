"""Counts and times calls."""

from functools import partial

from grpc import StatusCode

from archrouter.application.ports import Clock
from archrouter.observability.metrics import Metrics
from archrouter.rpc.interceptors.completion import watched
from archrouter.rpc.interceptors.unary import Behaviour, Context, RequestT, ResponseT, RpcMethod, UnaryInterceptor


class MetricsInterceptor(UnaryInterceptor):
    """Outermost, so that it counts what every other interceptor refuses."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        """Count into `metrics`, timed by `clock`."""
        self._metrics = metrics
        self._clock = clock

    async def intercept(
        self, method: RpcMethod, request: RequestT, context: Context, proceed: Behaviour[RequestT, ResponseT]
    ) -> ResponseT:
        """Count one call. See the base class."""
        self._metrics.count_rpc_start()
        with watched(context, self._clock, partial(self._record, method)):
            return await proceed(request, context)

    def _record(self, method: RpcMethod, code: StatusCode, duration_s: float) -> None:
        self._metrics.count_rpc_end(
            rpc_service=method.rpc_service, rpc_method=method.rpc_method, grpc_code=code.name, duration_s=duration_s
        )
