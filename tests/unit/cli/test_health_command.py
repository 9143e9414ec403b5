"""``archrouter health`` against real servers with the standard health service."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest
from click.testing import CliRunner, Result
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckResponse

from archrouter.cli import cli

POLICIES = "archrouter.v1.PolicyService"
SILENT_PORT = 1  # nobody listens below 1024 on the loopback interface of a test machine


@contextmanager
def _healthy_server(**statuses: int) -> Iterator[str]:
    """Serve the health service alone and give its HOST:PORT; ``whole`` is the server, ``policies`` a service of it."""
    servicer = HealthServicer()
    names = {"whole": "", "policies": POLICIES}
    for name, status in statuses.items():
        servicer.set(names[name], status)
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def _health(target: str, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["health", "--target", target, *arguments])


def test_a_server_that_serves_is_exit_code_0() -> None:
    """A container with this answer is healthy."""
    with _healthy_server(whole=HealthCheckResponse.SERVING) as target:
        result = _health(target)

    assert 0 == result.exit_code
    assert "SERVING\n" == result.stdout


def test_a_server_that_does_not_serve_is_exit_code_3() -> None:
    """An answer is not enough: the model or the policies may be missing."""
    with _healthy_server(whole=HealthCheckResponse.NOT_SERVING) as target:
        result = _health(target)

    assert 3 == result.exit_code
    assert "NOT_SERVING\n" == result.stdout
    assert f"{target} answers but does not serve" in result.stderr


def test_a_service_is_asked_for_by_name() -> None:
    """Policies may serve while the model does not."""
    with _healthy_server(whole=HealthCheckResponse.NOT_SERVING, policies=HealthCheckResponse.SERVING) as target:
        result = _health(target, "--service", POLICIES)

    assert 0 == result.exit_code


def test_an_unknown_service_is_exit_code_1_with_the_remedy() -> None:
    """A typo never looks like a server that is down."""
    with _healthy_server(whole=HealthCheckResponse.SERVING) as target:
        result = _health(target, "--service", "archrouter.v1.Polices")

    assert 1 == result.exit_code
    assert f"{target} has no service 'archrouter.v1.Polices'; leave out --service" in result.stderr


def test_a_silent_target_is_exit_code_3() -> None:
    """Nobody there is one line, not a traceback."""
    target = f"127.0.0.1:{SILENT_PORT}"

    result = _health(target)

    assert 3 == result.exit_code
    assert "" == result.stdout
    assert f"{target} does not answer" in result.stderr


def test_a_server_without_the_health_protocol_is_exit_code_1() -> None:
    """UNIMPLEMENTED is an answer: something else listens there."""
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        result = _health(f"127.0.0.1:{port}")
    finally:
        server.stop(None).wait()

    assert 1 == result.exit_code
    assert "UNIMPLEMENTED" in result.stderr


@pytest.mark.parametrize(("status", "exit_code"), [("SERVING", 0), ("NOT_SERVING", 3)])
def test_json_is_one_document_whatever_the_answer(status: str, exit_code: int) -> None:
    """Scripts read target, service and status from standard output."""
    with _healthy_server(policies=HealthCheckResponse.ServingStatus.Value(status)) as target:
        result = _health(target, "--service", POLICIES, "--json")

    assert exit_code == result.exit_code
    assert {"target": target, "service": POLICIES, "status": status} == json.loads(result.stdout)
