"""The callers file, and the scopes in it."""

import hashlib

import pytest

from archrouter.rpc.authentication.callers import Callers, CallersFileError, _entry
from archrouter.rpc.authentication.scopes import OPEN_SCOPES, Scope, grants_of

DIGEST = hashlib.sha256(b"token-1").hexdigest()
OTHER_DIGEST = hashlib.sha256(b"token-2").hexdigest()


def test_token_grants_the_scopes_of_its_line() -> None:
    """Each token is found by its text and grants its own scopes; comments and empty lines say nothing."""
    text = f"# who may call\n\n{DIGEST} gateway route\n  {OTHER_DIGEST}\toperator policy.read,admin  \n"

    callers = Callers.from_text(text)

    found = [callers.by_token("token-1"), callers.by_token("token-2")]
    assert [("gateway", {Scope.ROUTE}), ("operator", {Scope.POLICY_READ, Scope.ADMIN})] == [
        (one.name, set(one.grants)) for one in found if one is not None
    ]


def test_certificates_and_subjects_are_callers_too() -> None:
    """One file maps tokens, certificates and JWT subjects; one kind is never taken for another."""
    callers = Callers.from_text(
        "certificate:spiffe://shop/gateway gateway route\nsubject:system:serviceaccount:shop:gateway pod route\n"
    )

    by_certificate = callers.by_certificate("spiffe://shop/gateway")
    by_subject = callers.by_subject("system:serviceaccount:shop:gateway")
    assert by_certificate is not None
    assert "gateway" == by_certificate.name
    assert by_subject is not None
    assert "pod" == by_subject.name
    assert callers.by_subject("spiffe://shop/gateway") is None
    assert callers.by_certificate("system:serviceaccount:shop:gateway") is None
    assert callers.by_token("certificate:spiffe://shop/gateway") is None


@pytest.mark.parametrize("token", ["", "token-3", "TOKEN-1", DIGEST])
def test_unknown_token_grants_nothing(token: str) -> None:
    """Neither a similar token nor the digest out of the file opens the door."""
    assert Callers.from_text(f"{DIGEST} gateway route").by_token(token) is None


@pytest.mark.parametrize(
    ("text", "line_number", "problem"),
    [
        pytest.param("", 1, "no caller in the file", id="empty_file"),
        pytest.param("# only a comment", 1, "no caller in the file", id="no_caller"),
        pytest.param(f"\n{DIGEST} gateway", 2, "2 fields instead of 3", id="missing_scopes"),
        pytest.param(f"{DIGEST} the gateway route", 1, "4 fields instead of 3", id="space_in_name"),
        pytest.param("token-1 gateway route", 1, "no SHA-256 digest", id="token_instead_of_digest"),
        pytest.param(f"{DIGEST.upper()} gateway route", 1, "no SHA-256 digest", id="upper_case_digest"),
        pytest.param("certificate: gateway route", 1, "no SHA-256 digest", id="certificate_of_nobody"),
        pytest.param(f"{DIGEST} gateway route,write", 1, "'write' is no scope", id="unknown_scope"),
        pytest.param(f"{DIGEST} gateway route,", 1, "'' is no scope", id="empty_scope"),
        pytest.param(f"{DIGEST} gateway route:", 1, "names no policy set", id="empty_pattern"),
        pytest.param(f"{DIGEST} gateway route:*-eu", 1, "names no policy set", id="star_in_front"),
        pytest.param(f"{DIGEST} gateway admin:billing", 1, "is not about any", id="administration_of_a_set"),
        pytest.param(f"{DIGEST} a route\n{OTHER_DIGEST} a route", 2, "'a' is taken", id="name_twice"),
        pytest.param(f"{DIGEST} a route\n{DIGEST} b route", 2, "that of an earlier line", id="token_twice"),
    ],
)
def test_unusable_line_is_reported_with_its_number(text: str, line_number: int, problem: str) -> None:
    """A file that would do something else than its author means is refused, with the line and the form to write."""
    with pytest.raises(CallersFileError, match=rf"line {line_number}: .*{problem}.*<scope,scope>") as caught:
        Callers.from_text(text)

    assert line_number == caught.value.line_number


def test_unusable_line_is_never_repeated() -> None:
    """A token that was written where its digest belongs does not end up in a log."""
    with pytest.raises(CallersFileError) as caught:
        Callers.from_text("my-secret-token gateway route")

    assert "my-secret-token" not in str(caught.value)


def test_digest_is_not_shown() -> None:
    """An entry in a log or a traceback does not show its digest."""
    assert "digest" not in repr(_entry(1, f"{DIGEST} gateway route"))


def test_open_server_grants_everything_but_administration() -> None:
    """Where nobody has to authenticate everybody may route and read, and nobody may change the server."""
    assert {Scope.ROUTE, Scope.INLINE, Scope.POLICY_READ} == OPEN_SCOPES


def test_scopes_of_one_kind_add_up() -> None:
    """Two scopes for two sets let a caller use both; a star stands for any end of an id."""
    caller = Callers.from_text(f"{DIGEST} gateway route:support,route:billing-*").by_token("token-1")

    assert caller is not None
    seen = [name for name in ("support", "support-eu", "billing-", "billing-eu", "") if caller.sees(Scope.ROUTE, name)]
    assert ["support", "billing-", "billing-eu"] == seen
    assert not caller.sees_all(Scope.ROUTE)
    assert not caller.sees(Scope.POLICY_READ, "support")


def test_a_scope_without_a_policy_set_is_for_all() -> None:
    """The short form is the wide one."""
    assert {Scope.ROUTE: ("*",)} == grants_of(["route"])
