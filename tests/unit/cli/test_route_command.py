"""``archrouter route`` and ``archrouter version`` against a real server."""

import json

import grpc
import pytest
from click.testing import CliRunner, Result
from tests.support.certificates import Authority
from tests.support.routing_services import ScriptedService, matched, refused, serving

from archrouter import v1
from archrouter.cli import cli
from archrouter.config import Settings
from archrouter.config_sources import load_settings
from archrouter.version import VERSION


def _decision(_request: v1.SelectRouteRequest) -> v1.Decision:
    decision = matched("coding")
    decision.warnings.add(message="not calibrated [yet]")
    decision.candidates.add(kind=v1.CandidateKind.CANDIDATE_KIND_ROUTE, route_id="coding", probability=0.75, exact=True)
    decision.candidates.add(kind=v1.CandidateKind.CANDIDATE_KIND_NO_MATCH, probability=0.25)
    decision.timing.total_duration.FromMilliseconds(12)
    return decision


def _invoke(service: ScriptedService, *arguments: str, standard_input: str = "") -> Result:
    with serving(service) as target:
        return CliRunner().invoke(cli, [*arguments, "--target", target], input=standard_input)


def test_route_prints_the_decision() -> None:
    """The table holds outcome, route, models, confidence, warnings taken literally, and candidates."""
    result = _invoke(ScriptedService(_decision), "route", "fix my code")

    assert 0 == result.exit_code
    for text in ("MATCHED", "coding", "models/coding", "75.0 %", "not calibrated [yet]", "other", "12.0 ms"):
        assert text in result.stdout


def test_route_sends_alternating_messages_and_options() -> None:
    """Arguments are messages that end with the user's; options travel in the request."""
    service = ScriptedService(_decision)

    _invoke(service, "route", "--policy-set", "support", "--min-confidence", "0", "--full", "a", "b", "c")

    (request,) = service.requests
    roles = [v1.Role.ROLE_USER, v1.Role.ROLE_ASSISTANT, v1.Role.ROLE_USER]
    assert list(zip(roles, "abc", strict=True)) == [(message.role, message.content) for message in request.messages]
    assert "policySets/support" == request.policy_set
    assert v1.RoutingOptions(min_confidence=0.0) == request.options
    assert v1.DecisionView.DECISION_VIEW_FULL == request.view


def _explained(request: v1.SelectRouteRequest) -> v1.Decision:
    decision = _decision(request)
    decision.reasons.extend([v1.DecisionReason.DECISION_REASON_ROUTE_LEADS, 99])  # type: ignore[list-item]  # a later one
    decision.explanation.runner_up.kind = v1.CandidateKind.CANDIDATE_KIND_NO_MATCH
    decision.explanation.lead = 0.5
    decision.explanation.message_effects.add(message_index=0, probability_change=0.25, changes_leader=True)
    decision.explanation.message_effects.add(message_index=2, probability_change=-0.125)
    decision.explanation.deciding_message_index = 0
    return decision


def test_route_explains_the_decision() -> None:
    """The table says what each message adds and marks the one that decided; unknown reasons are told by number."""
    service = ScriptedService(_explained)

    result = _invoke(service, "route", "--explain", "first words", "b", "last words")

    assert v1.DecisionView.DECISION_VIEW_EXPLAIN == service.requests[0].view
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["reasons", "route", "leads,", "99"] in rows
    assert ["leads", "other,", "the", "runner-up,", "by", "50.0", "%"] in rows
    assert ["│", "*", "│", "first", "words", "│", "+25.0", "%", "│", "yes", "│"] in rows
    assert ["│", "│", "last", "words", "│", "-12.5", "%", "│", "no", "│"] in rows


def test_route_leaves_options_unset_that_were_not_given() -> None:
    """Without options the policies' own thresholds apply and the service's default policy set decides."""
    service = ScriptedService(_decision)

    _invoke(service, "route", "a")

    assert not service.requests[0].options.HasField("min_confidence")
    assert service.requests[0].WhichOneof("policy_source") is None


@pytest.mark.parametrize(
    "document",
    [
        '[{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}]',
        '{"model": "any", "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}]}',
    ],
)
def test_route_reads_conversations_from_standard_input(document: str) -> None:
    """With - the conversation is JSON: a list of messages, or an object that has one."""
    service = ScriptedService(_decision)

    _invoke(service, "route", "-", standard_input=document)

    assert [v1.Role.ROLE_SYSTEM, v1.Role.ROLE_USER] == [message.role for message in service.requests[0].messages]


def test_route_reads_openai_style_messages() -> None:
    """With - content parts, null content and lone surrogates are read as the clients read them."""
    service = ScriptedService(_decision)
    chat = [
        {"role": "developer", "content": None},
        {"role": "user", "content": [{"type": "image_url"}, {"type": "text", "text": "hi \ud800"}]},
    ]

    _invoke(service, "route", "-", standard_input=json.dumps(chat))

    assert ["", "hi \ufffd"] == [message.content for message in service.requests[0].messages]


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("hi", "standard input: is not JSON"),
        ('[{"role": "robot", "content": "hi"}]', "messages[0].role is 'robot'; it must be one of user, assistant"),
        ('{"message": []}', "messages: is missing"),
        ('{"messages": 7}', "messages must be a list"),
    ],
)
def test_route_refuses_standard_input_that_is_no_conversation(document: str, problem: str) -> None:
    """Standard input that cannot be used is a usage error that names the field."""
    result = _invoke(ScriptedService(_decision), "route", "-", standard_input=document)

    assert 2 == result.exit_code
    assert problem in result.stderr


def test_route_json_is_the_decision_as_protobuf_writes_it() -> None:
    """With --json standard output is the decision in protobuf's own JSON form."""
    result = _invoke(ScriptedService(_decision), "route", "--json", "hi")

    document = json.loads(result.stdout)
    assert ("coding", "OUTCOME_MATCHED", 0.75) == (document["routeId"], document["outcome"], document["confidence"])
    assert document["kept"] is False


def test_route_says_why_the_service_refused() -> None:
    """A refused call has exit code 1 and one line with reason, message, remedy and decision id."""

    def refuse(_request: v1.SelectRouteRequest) -> v1.Decision:
        raise refused(grpc.StatusCode.FAILED_PRECONDITION, "ERROR_REASON_DEFAULT_POLICY_SET_MISSING")

    result = _invoke(ScriptedService(refuse), "route", "hi")

    assert 1 == result.exit_code
    expected = (
        "Error: ERROR_REASON_DEFAULT_POLICY_SET_MISSING: refused with FAILED_PRECONDITION; name one with --policy-set, "
        "or start the service with one as default (decision decision-1)\n"
    )
    assert expected == result.stderr


@pytest.mark.parametrize("command", [["route", "hi"], ["version"]])
def test_unreachable_service_has_exit_code_3(command: list[str]) -> None:
    """Where nothing listens the exit code tells so, for scripts that wait for a service."""
    with serving(ScriptedService(_decision)) as target:
        pass  # the port is free again

    result = CliRunner().invoke(cli, [*command, "--target", target])

    assert 3 == result.exit_code
    assert f"{target} does not answer" in result.stderr


def test_token_is_refused_over_plaintext_to_another_machine(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The client's rule for tokens is a usage error here."""
    token_file = tmp_path_factory.mktemp("token") / "token"
    token_file.write_text("t0ken\n", encoding="utf-8")

    result = CliRunner().invoke(cli, ["route", "hi", "--target", "10.0.0.1:1", "--token-file", str(token_file)])

    assert 2 == result.exit_code
    assert "in plaintext" in result.stderr
    assert "t0ken" not in result.stderr


def test_version_shows_client_and_server() -> None:
    """Without a target the version of this program, with one also what the service is."""
    alone = CliRunner().invoke(cli, ["version"])
    both = _invoke(ScriptedService(_decision), "version", "--json")

    assert f"archrouter {VERSION}\n" == alone.stdout
    document = json.loads(both.stdout)
    assert VERSION == document["client"]
    assert ("9.8.7", "COMPACT") == (document["server"]["version"], document["server"]["tier"])


def test_version_prints_the_server_line_by_line() -> None:
    """For people each fact about the service is a line."""
    result = _invoke(ScriptedService(_decision), "version")

    assert "default_policy_set: policySets/support\n" in result.stdout


def test_token_comes_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is no setting of the service; a file counts before it."""
    service = ScriptedService(_decision)
    monkeypatch.setenv("ARCHROUTER_TOKEN", "from-the-environment\n")

    _invoke(service, "route", "hi")

    assert "Bearer from-the-environment" == service.metadata[0]["authorization"]
    assert Settings() == load_settings({}, None, {"ARCHROUTER_TOKEN": "secret"})


def test_certificates_are_shown_and_checked(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A service that asks for client certificates is reached with one of its authority, and not without."""
    folder, authority = tmp_path_factory.mktemp("tls"), Authority()
    server, client = authority.server(), authority.certify(dns=["gateway.shop"])
    for name, content in {"ca": authority.pem, "cert": client.chain, "key": client.key}.items():
        (folder / name).write_bytes(content)
    credentials = grpc.ssl_server_credentials([(server.key, server.chain)], authority.pem, require_client_auth=True)
    mutual = ["--tls-cert", str(folder / "cert"), "--tls-key", str(folder / "key")]

    with serving(ScriptedService(_decision), credentials) as target:
        address = target.replace("127.0.0.1", "localhost")
        command = ["route", "hi", "--target", address, "--tls-ca", str(folder / "ca")]
        good = CliRunner().invoke(cli, [*command, *mutual])
        bad = CliRunner().invoke(cli, [*command, "--timeout", "1"])
        half = CliRunner().invoke(cli, [*command, *mutual[:2]])

    assert (0, 3, 2) == (good.exit_code, bad.exit_code, half.exit_code)
    assert "--tls-key" in half.stderr
