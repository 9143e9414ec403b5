"""A routing service that fails as the vectors tell it to.

A call names its vector in `correlation_id`. Its attempts get the steps of the vector's script one by one, the last step
again and again. What the vector says about the request as it arrives is checked here, where it arrives.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures
from contextlib import contextmanager
from typing import Any, NoReturn

import grpc
from google.protobuf import duration_pb2, json_format
from google.rpc import error_details_pb2, status_pb2

from archrouter import v1

DECISION_ID = "0192d5c0-7f2e-7c4b-9a51-3f0b6d1e8a77"
ERROR_DOMAIN = "archrouter"
_HANG_S = 3.0  # longer than any deadline of a vector, short enough to end soon
_DOCUMENT = Mapping[str, Any]  # Any: a vector is a JSON document


class ScriptedRoutingService(v1.RoutingServiceServicer):
    """Answers SelectRoute by script."""

    def __init__(self, vectors: Sequence[_DOCUMENT]) -> None:
        """Take the vectors that have a script."""
        self._vectors = {vector["name"]: vector for vector in vectors if "script" in vector}
        self._attempts: Counter[str] = Counter()

    def SelectRoute(  # noqa: N802  # the stub's name
        self, request: v1.SelectRouteRequest, context: grpc.ServicerContext
    ) -> v1.SelectRouteResponse:
        """Take the next step of the script."""
        name = request.correlation_id
        vector = self._vectors.get(name)
        if vector is None:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"no vector {name!r} has a script")
        difference = _difference(vector.get("received", {}), request, context)
        if difference:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, difference)
        script = vector["script"]
        step = script[min(self._attempts[name], len(script) - 1)]
        self._attempts[name] += 1
        if step.get("hang"):
            time.sleep(_HANG_S)
        if "decision" not in step:
            _fail(step, context)
        decision = json_format.ParseDict(step["decision"], v1.Decision())
        return v1.SelectRouteResponse(decision=decision, correlation_id=name)


@contextmanager
def scripted_server(vectors: Sequence[_DOCUMENT], credentials: grpc.ServerCredentials | None = None) -> Iterator[str]:
    """Serve the scripts inside the block.

    Args:
        vectors: The documents of the vectors.
        credentials: Of TLS; None serves in plaintext.

    Yields:
        The address, ``HOST:PORT``.
    """
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    service = ScriptedRoutingService(vectors)  # type: ignore[abstract]  # the base answers other calls: UNIMPLEMENTED
    v1.add_RoutingServiceServicer_to_server(service, server)
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield f"localhost:{port}" if credentials else f"127.0.0.1:{port}"
    finally:
        server.stop(grace=None).wait()


def _difference(expected: _DOCUMENT, request: v1.SelectRouteRequest, context: grpc.ServicerContext) -> str:
    """Compare what arrived with what the vector says about it; empty: it agrees."""
    if "request" in expected:
        wanted = json_format.ParseDict(expected["request"], v1.SelectRouteRequest())
        wanted.correlation_id = request.correlation_id
        if wanted != request:
            return f"received {json_format.MessageToJson(request, indent=None)}"
    metadata = dict(context.invocation_metadata())
    for key, value in expected.get("metadata", {}).items():
        if metadata.get(key) != value:
            return f"received metadata {key}: {metadata.get(key)!r}"
    lowest, highest = expected.get("deadlineS", (0, float("inf")))
    remaining = context.time_remaining()
    if not lowest <= remaining <= highest:
        return f"received a deadline of {remaining} s"
    return ""


def _fail(step: _DOCUMENT, context: grpc.ServicerContext) -> NoReturn:
    code = grpc.StatusCode[step.get("code", "UNKNOWN")]
    status = status_pb2.Status(code=code.value[0], message="told to fail")
    if "reason" in step:
        info = error_details_pb2.ErrorInfo(
            reason=step["reason"], domain=step.get("domain", ERROR_DOMAIN), metadata=step.get("metadata", {})
        )
        status.details.add().Pack(info)
    if "retryAfterS" in step:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(round(step["retryAfterS"] * 1e9))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    context.set_trailing_metadata(
        (("archrouter-decision-id", DECISION_ID), ("grpc-status-details-bin", status.SerializeToString()))
    )
    context.abort(code, status.message)
