"""Route tickets: only what this service signed is used, and only while it means something."""

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fakes import make_set

from archrouter.domain.decision import DecisionReason, DecisionRule, Stickiness
from archrouter.domain.policy import MAX_ROUTE_ID_CHARACTERS, PolicySet
from archrouter.domain.ticket import MAX_TICKET_CHARACTERS, Redeemed, Tickets, read_keys
from archrouter.domain.warnings import WarningCode

KEY, NEXT_KEY = b"k" * 32, b"n" * 32
NOW_S = 1_800_000_000.5
POLICY_SET = make_set("code")
TICKETS = Tickets((KEY,), lifetime_s=60.0)


def issue(tickets: Tickets = TICKETS, policy_set: PolicySet = POLICY_SET, turn_count: int = 1) -> str:
    """Issue a ticket for the first route of a set."""
    return tickets.issue(policy_set.routes[0], policy_set, turn_count=turn_count, now_s=NOW_S)


def redeem(
    text: str, tickets: Tickets = TICKETS, policy_set: PolicySet = POLICY_SET, *, after_s: float = 0.0
) -> Redeemed:
    """Redeem a ticket some time after it was issued."""
    rule = DecisionRule(stickiness=Stickiness(switch_margin=0.25, route_ticket=text))
    return tickets.redeem(rule, policy_set, now_s=NOW_S + after_s)


def cause_of(redeemed: Redeemed) -> str:
    """Return the cause in the one warning, of a ticket that left the rule as it was."""
    (warning,) = redeemed.warnings
    assert WarningCode.ROUTE_TICKET_IGNORED is warning.code
    assert ("", 0) == (redeemed.rule.stickiness.previous_route_id, redeemed.turn_count)
    return warning.metadata["cause"]


def test_a_ticket_names_the_previous_route_and_counts_turns() -> None:
    """The rest of the rule stays; a kept route has the ticket among its reasons."""
    redeemed = redeem(issue(turn_count=7))

    assert ("coding", 0.25) == (
        redeemed.rule.stickiness.previous_route_id,
        redeemed.rule.stickiness.switch_margin,
    )
    assert 7 == redeemed.turn_count
    assert () == redeemed.warnings
    assert (DecisionReason.ROUTE_TICKET,) == redeemed.reasons(kept=True)
    assert () == redeemed.reasons(kept=False)


def test_without_a_ticket_nothing_changes() -> None:
    """No ticket is no fault: no warning, the same rule, no reason."""
    rule = DecisionRule(stickiness=Stickiness("coding"))

    redeemed = TICKETS.redeem(rule, POLICY_SET, now_s=NOW_S)

    assert Redeemed(rule) == redeemed
    assert () == redeemed.reasons(kept=True)


def test_no_route_has_no_ticket() -> None:
    """What was not chosen cannot be kept."""
    assert "" == TICKETS.issue(None, POLICY_SET, turn_count=1, now_s=NOW_S)


def test_a_ticket_outlives_the_revision() -> None:
    """Policies change while conversations run; the route is still there."""
    changed = make_set("code", "another meaning")

    assert POLICY_SET.revision != changed.revision
    assert 1 == redeem(issue(), policy_set=changed).turn_count


def test_another_process_with_the_key_reads_the_ticket() -> None:
    """Replicas need nothing in common but the key."""
    assert 1 == redeem(issue(), Tickets((KEY,))).turn_count


def test_keys_are_rotated_without_losing_a_conversation() -> None:
    """The new key is put first, the old one leaves when its last ticket has expired."""
    both = Tickets((NEXT_KEY, KEY))
    rotated = Tickets((KEY,))
    rotated.replace_keys((NEXT_KEY,))

    assert 1 == redeem(issue(), both).turn_count
    assert 1 == redeem(issue(both), rotated).turn_count
    assert "signature" == cause_of(redeem(issue(), rotated))


def test_without_a_key_each_process_has_its_own() -> None:
    """A default that everybody knows would sign for everybody."""
    one, other = Tickets(), Tickets()

    assert 1 == redeem(issue(one), one).turn_count
    assert "signature" == cause_of(redeem(issue(one), other))


@pytest.mark.parametrize(("after_s", "is_used"), [(59.0, True), (61.0, False), (-3600.0, True)])
def test_a_ticket_expires(after_s: float, *, is_used: bool) -> None:
    """A replica whose clock is behind still takes what another one has just issued."""
    redeemed = redeem(issue(), after_s=after_s)

    assert is_used == (redeemed.turn_count == 1)
    assert is_used or "expired" == cause_of(redeemed)


def test_a_ticket_of_another_policy_set_is_ignored() -> None:
    """Routes of two sets may share an id and mean different things."""
    assert "policy_set" == cause_of(redeem(issue(), policy_set=make_set("other")))


def test_a_ticket_of_a_route_that_is_gone_is_ignored() -> None:
    """What the set no longer has cannot be kept."""
    without = replace(POLICY_SET, routes=(replace(POLICY_SET.routes[0], id="coding_2"),))

    assert "route" == cause_of(redeem(issue(), policy_set=without))


def test_the_longest_ticket_fits_into_a_request() -> None:
    """The longest names, of characters that take four bytes each, stay below the limit of the API."""
    route = replace(POLICY_SET.routes[0], id="\U0001f600" * MAX_ROUTE_ID_CHARACTERS)
    longest = PolicySet("a" * 64, "", (route,), POLICY_SET.fallback_models)

    text = issue(policy_set=longest, turn_count=10**9)

    assert len(text) < 650 < MAX_TICKET_CHARACTERS
    assert 10**9 == redeem(text, policy_set=longest).turn_count


def test_a_ticket_of_a_later_version_is_malformed() -> None:
    """An old replica ignores what it cannot read; it does not guess."""
    signed = base64.urlsafe_b64decode(issue() + "==")
    later = base64.urlsafe_b64encode(b"\x02" + signed[1:]).decode().rstrip("=")

    assert "malformed" == cause_of(redeem(later))


@given(text=st.text(max_size=1100))
def test_no_text_that_was_not_signed_is_used(text: str) -> None:
    """Whatever a caller makes up."""
    redeemed = redeem(text)

    assert not text or cause_of(redeemed) in {"malformed", "signature"}


@given(signed=st.binary(max_size=300))
def test_no_bytes_that_were_not_signed_are_used(signed: bytes) -> None:
    """The same for what looks like a ticket."""
    text = base64.urlsafe_b64encode(b"\x01" + signed).decode().rstrip("=")

    assert cause_of(redeem(text)) in {"malformed", "signature"}


@given(data=st.data())
def test_no_changed_ticket_is_used(data: st.DataObject) -> None:
    """One character changed, added or left out anywhere, in the unused bits of the last one too."""
    text = issue()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ \n"
    index = data.draw(st.integers(0, len(text)))
    taken, given_instead = data.draw(st.integers(0, 1)), data.draw(st.text(alphabet, max_size=2))
    changed = text[:index] + given_instead + text[index + taken :]

    redeemed = redeem(changed)

    assert changed == text or not changed or cause_of(redeemed) in {"malformed", "signature"}


def test_keys_are_read_one_a_line() -> None:
    """Comments and empty lines say nothing; the order counts."""
    text = f"# the new one\n{NEXT_KEY.decode()}\n\n  {KEY.decode()}  \n"

    assert (NEXT_KEY, KEY) == read_keys(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# only a comment\n", "holds no key"),
        (f"{'k' * 40}\nshort-secret\n", "line 2: 12 bytes are fewer than 32"),
    ],
)
def test_a_key_file_that_cannot_be_used_says_why_and_repeats_no_key(text: str, expected: str) -> None:
    """The message has the line and the remedy, never the line's text."""
    with pytest.raises(ValueError, match=expected) as caught:
        read_keys(text)

    assert "openssl rand" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_no_representation_shows_a_key() -> None:
    """Logs and tracebacks write representations."""
    assert "kkkk" not in repr(TICKETS)
