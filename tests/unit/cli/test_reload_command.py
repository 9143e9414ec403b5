"""``archrouter reload`` against real servers with a scripted PolicyService."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
from click.testing import CliRunner, Result

from archrouter import v1
from archrouter.cli import cli

CHANGED = v1.ReloadedPolicySet(name="policySets/support", revision="sha256:" + "1" * 64, changed=True)
SAME = v1.ReloadedPolicySet(name="policySets/tools", revision="sha256:" + "2" * 64)
REJECTED = v1.RejectedPolicySource(
    source="tools.yaml",
    findings=[
        v1.PolicyFinding(
            severity=v1.Severity.SEVERITY_ERROR,
            field_path="routes[0].id",
            message="'other' is reserved",
            line=7,
            column=5,
        )
    ],
)


class Scripted(v1.PolicyServiceServicer):
    """Answers a reload as told."""

    def __init__(self, response: v1.ReloadPolicySetsResponse) -> None:
        """Keep the answer, and the metadata of the call."""
        self.response = response
        self.metadata: dict[str, str | bytes] = {}

    def ReloadPolicySets(  # noqa: N802  # named by the API
        self, request: v1.ReloadPolicySetsRequest, context: grpc.ServicerContext
    ) -> v1.ReloadPolicySetsResponse:
        """Answer as told."""
        del request
        self.metadata = dict(context.invocation_metadata())
        return self.response

    def GetPolicySet(  # noqa: N802  # named by the API
        self, request: v1.GetPolicySetRequest, context: grpc.ServicerContext
    ) -> v1.GetPolicySetResponse:
        """Fail: nobody here asks for it."""
        raise AssertionError(request, context)

    def ListPolicySets(  # noqa: N802  # named by the API
        self, request: v1.ListPolicySetsRequest, context: grpc.ServicerContext
    ) -> v1.ListPolicySetsResponse:
        """Fail: nobody here asks for it."""
        raise AssertionError(request, context)

    def ValidatePolicySet(  # noqa: N802  # named by the API
        self, request: v1.ValidatePolicySetRequest, context: grpc.ServicerContext
    ) -> v1.ValidatePolicySetResponse:
        """Fail: nobody here asks for it."""
        raise AssertionError(request, context)


@contextmanager
def _serving(servicer: Scripted) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    v1.add_PolicyServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def _reload(response: v1.ReloadPolicySetsResponse, *arguments: str) -> Result:
    with _serving(Scripted(response)) as target:
        return CliRunner().invoke(cli, ["reload", "--target", target, *arguments])


def test_what_changed_is_shown() -> None:
    """A reload without a rejected file ends well."""
    result = _reload(v1.ReloadPolicySetsResponse(policy_sets=[CHANGED, SAME]))

    assert 0 == result.exit_code
    lines = result.stdout.splitlines()
    assert [True, True] == [
        any("policySets/support" in line and CHANGED.revision in line and "changed" in line for line in lines),
        any("policySets/tools" in line and "as before" in line for line in lines),
    ]
    assert "2 policy sets serve, 1 changed; 0 sources were rejected\n" == result.stderr


def test_a_rejected_file_is_exit_code_1_with_place_and_reason() -> None:
    """Scripts see that not everything was taken, people see why."""
    result = _reload(v1.ReloadPolicySetsResponse(policy_sets=[SAME], rejected_sources=[REJECTED]))

    assert 1 == result.exit_code
    assert "tools.yaml:7:5: rejected: routes[0].id: 'other' is reserved" in result.stdout


def test_json_is_the_answer_of_the_service() -> None:
    """One document on standard output, with every field of every set."""
    result = _reload(v1.ReloadPolicySetsResponse(policy_sets=[SAME], rejected_sources=[REJECTED]), "--json")

    document = json.loads(result.stdout)
    assert 1 == result.exit_code
    assert [{"name": SAME.name, "revision": SAME.revision, "changed": False}] == document["policy_sets"]
    assert 7 == document["rejected_sources"][0]["findings"][0]["line"]


def test_the_token_of_an_administrator_is_sent(tmp_path: Path) -> None:
    """A service that asks for credentials gets those of the file."""
    token_file = tmp_path / "token"
    token_file.write_text("admin-token\n")
    servicer = Scripted(v1.ReloadPolicySetsResponse())

    with _serving(servicer) as target:
        CliRunner().invoke(cli, ["reload", "--target", target, "--token-file", str(token_file)])

    assert "Bearer admin-token" == servicer.metadata["authorization"]
