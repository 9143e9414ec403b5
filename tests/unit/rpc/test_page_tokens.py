"""Page tokens."""

import base64
from datetime import UTC, datetime

import pytest
from tests.support.fakes import make_set

from archrouter.application.policy_store import LoadedPolicySet, PolicySnapshot
from archrouter.domain.errors import InvalidRequestError
from archrouter.rpc.policy_servicer import decode_page_token, encode_page_token


def snapshot_of(*ids: str, day: int = 1) -> PolicySnapshot:
    """Build a snapshot of policy sets that are equal but for their names."""
    moment = datetime(2026, 1, day, tzinfo=UTC)
    return PolicySnapshot({one: LoadedPolicySet(make_set(one), f"{one}.yaml", moment) for one in ids})


def test_token_leads_back_to_its_offset() -> None:
    """A token that was made of a snapshot can be read against the same snapshot."""
    snapshot = snapshot_of("a", "b")

    assert 50 == decode_page_token(snapshot, encode_page_token(snapshot, 50))


def test_empty_token_is_the_first_page() -> None:
    """A caller starts without a token."""
    assert 0 == decode_page_token(snapshot_of("a"), "")


def test_token_is_good_on_another_replica() -> None:
    """A token depends on the revisions that are served, not on the process that made it or when it loaded them."""
    token = encode_page_token(snapshot_of("a", "b", day=1), 1)

    assert 1 == decode_page_token(snapshot_of("a", "b", day=2), token)


def test_token_of_other_revisions_is_stale() -> None:
    """A token does not outlive a change of the policy sets."""
    token = encode_page_token(snapshot_of("a", "b"), 1)

    with pytest.raises(InvalidRequestError, match="page_token: is stale"):
        decode_page_token(snapshot_of("a", "b", "c"), token)


@pytest.mark.parametrize(
    "token",
    [
        "!",
        "a",
        "abc",
        "\u00e4",
        base64.urlsafe_b64encode(b"\xff\xff").decode(),
        base64.urlsafe_b64encode(b"x:-1").decode(),
    ],
)
def test_malformed_token_is_refused(token: str) -> None:
    """A token that this API did not make is told apart from a stale one."""
    with pytest.raises(InvalidRequestError, match="page_token: is no page token"):
        decode_page_token(snapshot_of("a"), token)
