"""``archrouter health``."""

import asyncio

import click
import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from archrouter.cli.connection import DEFAULT_TARGET, Connection, target_options
from archrouter.cli.console import print_json
from archrouter.cli.exits import FailedError, UnreachableError, service_errors
from archrouter.client import RoutingError, open_channel
from archrouter.client.errors import rpc_errors_translated

EPILOG = """\b
Examples:
  archrouter health
  archrouter health --target 127.0.0.1:50051 --service archrouter.v1.PolicyService
  archrouter health --target triton:8001 --json
"""
SERVING = HealthCheckResponse.ServingStatus.Name(HealthCheckResponse.SERVING)


@click.command(short_help="Ask a server whether it serves.", epilog=EPILOG)
@click.option("--service", metavar="NAME", default="", help="One service of it; the server as a whole otherwise.")
@target_options(default=DEFAULT_TARGET, timeout_s=2.0)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as one JSON document.")
def health(connection: Connection, *, service: str, as_json: bool) -> None:
    """Ask any gRPC server, this service or Triton, by the standard health protocol whether it serves.

    Made for health checks of containers: exit code 0 when it serves, 3 when it answers that it does not or does not
    answer, 1 when it refuses the question, e.g. because it has no such service.
    """
    with service_errors(connection.target):
        status = _ask(connection, service)
    if as_json:
        print_json({"target": connection.target, "service": service, "status": status})
    else:
        click.echo(status)
    if status != SERVING:
        msg = f"{connection.target} answers but does not serve; its log says what is missing"
        raise UnreachableError(msg)


def _ask(connection: Connection, service: str) -> str:
    async def check() -> HealthCheckResponse:
        """Call on a channel of its own."""
        options = connection.client_options()
        async with open_channel(options) as channel:
            with rpc_errors_translated():
                return await HealthStub(channel).Check(
                    HealthCheckRequest(service=service), timeout=options.timeout_s, metadata=options.metadata
                )

    try:
        return str(HealthCheckResponse.ServingStatus.Name(asyncio.run(check()).status))
    except RoutingError as error:
        if error.code is not grpc.StatusCode.NOT_FOUND:
            raise
        msg = f"{connection.target} has no service {service!r}; leave out --service to ask for the server as a whole"
        raise FailedError(msg) from error
