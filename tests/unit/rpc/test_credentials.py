"""Tokens files and tokens."""

import hashlib

import pytest

from archrouter.rpc.credentials import OPEN_SCOPES, Credentials, CredentialsFileError, Scope

DIGEST = hashlib.sha256(b"token-1").hexdigest()
OTHER_DIGEST = hashlib.sha256(b"token-2").hexdigest()


def test_token_grants_the_scopes_of_its_line() -> None:
    """Each token is found by its text and grants its own scopes; comments and empty lines say nothing."""
    text = f"# who may call\n\n{DIGEST} gateway route\n  {OTHER_DIGEST}\toperator policy.read,admin  \n"

    credentials = Credentials.from_text(text)

    found = [credentials.find("token-1"), credentials.find("token-2")]
    assert [("gateway", {Scope.ROUTE}), ("operator", {Scope.POLICY_READ, Scope.ADMIN})] == [
        (one.name, set(one.scopes)) for one in found if one is not None
    ]


@pytest.mark.parametrize("token", ["", "token-3", "TOKEN-1", DIGEST])
def test_unknown_token_grants_nothing(token: str) -> None:
    """Neither a similar token nor the digest out of the file opens the door."""
    assert Credentials.from_text(f"{DIGEST} gateway route").find(token) is None


@pytest.mark.parametrize(
    ("text", "line_number", "problem"),
    [
        pytest.param("", 1, "no token in the file", id="empty_file"),
        pytest.param("# only a comment", 1, "no token in the file", id="no_token"),
        pytest.param(f"\n{DIGEST} gateway", 2, "2 fields instead of 3", id="missing_scopes"),
        pytest.param(f"{DIGEST} the gateway route", 1, "4 fields instead of 3", id="space_in_name"),
        pytest.param("token-1 gateway route", 1, "no SHA-256 digest", id="token_instead_of_digest"),
        pytest.param(f"{DIGEST.upper()} gateway route", 1, "no SHA-256 digest", id="upper_case_digest"),
        pytest.param(f"{DIGEST} gateway route,write", 1, "'write' is no scope", id="unknown_scope"),
        pytest.param(f"{DIGEST} gateway route,", 1, "'' is no scope", id="empty_scope"),
        pytest.param(f"{DIGEST} a route\n{OTHER_DIGEST} a route", 2, "'a' is taken", id="name_twice"),
        pytest.param(f"{DIGEST} a route\n{DIGEST} b route", 2, "that of an earlier line", id="token_twice"),
    ],
)
def test_unusable_line_is_reported_with_its_number(text: str, line_number: int, problem: str) -> None:
    """A file that would do something else than its author means is refused, with the line and the form to write."""
    with pytest.raises(CredentialsFileError, match=rf"line {line_number}: .*{problem}.*<scope,scope>") as caught:
        Credentials.from_text(text)

    assert line_number == caught.value.line_number


def test_unusable_line_is_never_repeated() -> None:
    """A token that was written where its digest belongs does not end up in a log."""
    with pytest.raises(CredentialsFileError) as caught:
        Credentials.from_text("my-secret-token gateway route")

    assert "my-secret-token" not in str(caught.value)


def test_digest_is_not_shown() -> None:
    """A credential in a log or a traceback does not show its digest."""
    credential = Credentials.from_text(f"{DIGEST} gateway route").find("token-1")

    assert "digest" not in repr(credential)


def test_open_server_grants_everything_but_administration() -> None:
    """Without tokens everybody may route and read, and nobody may change the server."""
    assert {Scope.ROUTE, Scope.POLICY_READ} == OPEN_SCOPES
