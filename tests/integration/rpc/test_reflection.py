"""A client that knows nothing but reflection."""

import asyncio
from typing import Literal

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc import StatusCode, aio
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tests.support.rpc_service import RpcService, ServiceOptions, known_tokens, running_service

from archrouter.config import ServerSettings
from archrouter.rpc.authentication.authenticator import Authenticator

API_SERVICES = {"archrouter.v1.RoutingService", "archrouter.v1.PolicyService", "grpc.health.v1.Health"}


def route_by_reflection(port: int) -> tuple[set[str], dict[str, object]]:
    """Ask for the services, build a request from their descriptors and send it, as grpcurl does."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        services = set(database.get_services())
        method = (
            DescriptorPool(database).FindServiceByName("archrouter.v1.RoutingService").methods_by_name["SelectRoute"]
        )
        request = ParseDict(
            {"messages": [{"role": "ROLE_USER", "content": "a refund"}]}, GetMessageClass(method.input_type)()
        )
        call: grpc.UnaryUnaryMultiCallable[Message, Message] = channel.unary_unary(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        return services, MessageToDict(call(request, timeout=5))


async def test_reflection_is_all_a_client_needs(service: RpcService) -> None:
    """A client without any generated code lists the services and gets a decision."""
    services, response = await asyncio.to_thread(route_by_reflection, service.port)

    decision = response["decision"]
    assert API_SERVICES <= services
    assert isinstance(decision, dict)
    assert ("OUTCOME_MATCHED", "billing") == (decision["outcome"], decision["routeId"])


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_answers_under_both_names(service: RpcService, version: str) -> None:
    """Tools that ask for the stable reflection service and tools that ask for the older one are both served."""
    call = service.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )

    responses = [one async for one in call(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))]

    names = {one.name for one in responses[0].list_services_response.service}
    assert API_SERVICES | {"grpc.reflection.v1alpha.ServerReflection"} == names


@pytest.mark.parametrize(
    ("switch", "authenticator"),
    [
        pytest.param("false", None, id="switched_off"),
        pytest.param("auto", known_tokens(gateway="route"), id="callers_must_authenticate"),
    ],
)
async def test_reflection_can_be_switched_off(
    switch: Literal["auto", "false"], authenticator: Authenticator | None
) -> None:
    """A server without reflection does not know the service; where callers must authenticate that is the default."""
    server = ServerSettings(listen="127.0.0.1:0", reflection_enabled=switch)

    async with running_service(ServiceOptions(server=server, authenticator=authenticator)) as service:
        # Not as the stream it is: refused before its message is sent, grpcio's stream ends with an INTERNAL of its own.
        call: aio.UnaryUnaryMultiCallable[bytes, bytes] = service.channel.unary_unary(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        )
        with pytest.raises(aio.AioRpcError) as caught:
            await call(b"")

    assert StatusCode.UNIMPLEMENTED == caught.value.code()


async def test_reflection_can_be_kept_although_callers_must_authenticate() -> None:
    """Who says so by name has both."""
    server = ServerSettings(listen="127.0.0.1:0", reflection_enabled="true")

    async with running_service(ServiceOptions(server=server, authenticator=known_tokens(gateway="route"))) as service:
        call = service.channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        responses = [one async for one in call(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))]

    assert API_SERVICES <= {one.name for one in responses[0].list_services_response.service}
