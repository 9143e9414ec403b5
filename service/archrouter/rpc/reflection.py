"""gRPC reflection: tools such as grpcurl learn the API from the server itself."""

from collections.abc import Sequence

import grpc
from grpc import aio
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

_V1_SERVICE = "grpc.reflection.v1.ServerReflection"
"""The stable name of what grpcio-reflection serves as v1alpha: the messages have the same fields (grpc/grpc-proto,
grpc/reflection/v1/reflection.proto), so the same servicer answers both. Newer tools ask for this name only."""


def add_reflection(server: aio.Server, service_names: Sequence[str]) -> None:
    """Serve reflection on a server that has not started.

    Args:
        server: The server.
        service_names: Full names of the services to describe, reflection itself not among them.
    """
    servicer = reflection.aio.ReflectionServicer((*service_names, reflection.SERVICE_NAME))
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)
    stable = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(_V1_SERVICE, {"ServerReflectionInfo": stable}),)
    )
