"""Turns every exception into a rich status. Without it gRPC would send the text of an exception to the caller."""

from typing import Never, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from grpc_status import rpc_status

from archrouter.domain.errors import FieldViolation, InvalidRequestError
from archrouter.rpc.call import DECISION_ID_KEY, current_call
from archrouter.rpc.failures import record_failure
from archrouter.rpc.interceptors.unary import Behaviour, Context, RequestT, ResponseT, RpcMethod, UnaryInterceptor


class ErrorInterceptor(UnaryInterceptor):
    """The last line of defence, and what puts the decision id into trailing metadata."""

    def surround(
        self, method: RpcMethod, handler: "grpc.RpcMethodHandler[RequestT, ResponseT]"
    ) -> "grpc.RpcMethodHandler[RequestT, ResponseT]":
        """Take over the decoding of the request as well. See the base class.

        gRPC decodes before any interceptor runs, and would answer a malformed request with UNKNOWN and the text of
        the decoder's exception.
        """
        decode = handler.request_deserializer
        proceed = cast("Behaviour[RequestT, ResponseT]", handler.unary_unary)

        async def decode_and_proceed(encoded: bytes, context: Context) -> ResponseT:
            try:
                request = decode(encoded) if decode else cast("RequestT", encoded)
            except DecodeError as error:
                text = f"the bytes are no request of {method.rpc_method}; use a client generated from archrouter/v1"
                raise InvalidRequestError((FieldViolation("", text),)) from error
            return await proceed(request, context)

        undecoded: grpc.RpcMethodHandler[RequestT, ResponseT] = grpc.unary_unary_rpc_method_handler(
            decode_and_proceed, None, handler.response_serializer
        )
        return super().surround(method, undecoded)

    async def intercept(
        self, method: RpcMethod, request: RequestT, context: Context, proceed: Behaviour[RequestT, ResponseT]
    ) -> ResponseT:
        """Map what goes wrong in one call. See the base class. Cancellation is no Exception, so it passes."""
        del method
        decision_id = current_call().decision_id
        trailing_metadata = ((DECISION_ID_KEY, decision_id),)
        context.set_trailing_metadata(trailing_metadata)
        try:
            return await proceed(request, context)
        except Exception as error:  # noqa: BLE001  # the one place where every exception ends
            status = record_failure(error, decision_id)
        return await _abort(context, status, trailing_metadata)


async def _abort(context: Context, status: status_pb2.Status, trailing_metadata: tuple[tuple[str, str], ...]) -> Never:
    """End the call. Not by abort_with_status: instrumentation that wraps the context sees the code only here."""
    rich = rpc_status.to_status(status)
    await context.abort(rich.code, rich.details, (*rich.trailing_metadata, *trailing_metadata))
