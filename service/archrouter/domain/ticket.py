"""Route tickets: what a decision means for the next one of its conversation, signed and in the caller's hands.

A ticket takes the place of a store: any replica that has the key reads what another one decided. It says nothing that
the caller does not know from the decision; it is signed so that nobody keeps a route that this service did not choose.

On the wire it is base64url without padding (RFC 4648, section 5) of a version byte, a JSON array of the fields of
`RouteTicket` in their order, and an HMAC-SHA256 (RFC 2104) of both.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, replace
from typing import NamedTuple

from archrouter.domain.decision import DecisionReason, DecisionRule
from archrouter.domain.policy import PolicySet, RoutePolicy
from archrouter.domain.warnings import DecisionWarning, WarningCode

MAX_TICKET_CHARACTERS = 1024
"""Part of the API. The longest that a policy set can lead to has some 620."""

MIN_KEY_BYTES = 32
"""As many as the hash has; fewer would weaken it (RFC 2104, section 3)."""

DAY_S = 86_400.0

_VERSION = b"\x01"
_MAC_BYTES = 32


_PROBLEMS = {
    "malformed": "is no ticket of this service; send route_ticket of the decision before, unchanged",
    "signature": "was signed with a key that this server does not have; give replicas the same keys",
    "expired": "is older than routing.ticket_lifetime_s",
    "policy_set": "is of another policy set",
    "route": "is of a route that the policy set no longer has",
}
"""What is wrong with a ticket, by cause."""


class RouteTicket(NamedTuple):
    """What a ticket says.

    Attributes:
        policy_set_id: Set that decided.
        revision: Its revision.
        route_id: Route that was chosen.
        turn_count: Decisions of the conversation so far that tickets tell of, >= 1.
        issue_time_s: When it was issued, in seconds of Unix time.
    """

    policy_set_id: str
    revision: str
    route_id: str
    turn_count: int
    issue_time_s: int


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What a request's ticket comes to.

    Attributes:
        rule: The request's, with the ticket's route as the previous one where the ticket can be used.
        turn_count: The ticket's; 0 without a ticket that can be used.
        warnings: Why it was ignored, if it was.
    """

    rule: DecisionRule
    turn_count: int = 0
    warnings: tuple[DecisionWarning, ...] = ()

    def reasons(self, *, kept: bool) -> tuple[DecisionReason, ...]:
        """Say that a route was kept by the ticket, if it was."""
        return (DecisionReason.ROUTE_TICKET,) if kept and self.turn_count else ()


class Tickets:
    """Signs and reads tickets. Its representation holds no key."""

    def __init__(self, keys: tuple[bytes, ...] = (), *, lifetime_s: float = DAY_S) -> None:
        """Take the keys.

        Args:
            keys: Each of `MIN_KEY_BYTES` or more: the first signs, each is accepted. Without any, one is made that
                nobody else has.
            lifetime_s: How long a ticket can be used, in seconds > 0.
        """
        self._keys = keys or (secrets.token_bytes(MIN_KEY_BYTES),)
        self._lifetime_s = lifetime_s

    def replace_keys(self, keys: tuple[bytes, ...]) -> None:
        """Sign with the first of these from now on, and accept only them; at least one."""
        self._keys = keys

    def issue(self, route: RoutePolicy | None, policy_set: PolicySet, *, turn_count: int, now_s: float) -> str:
        """Write the ticket of a decision; empty where no route was chosen.

        Args:
            route: The chosen policy; None for none.
            policy_set: The set that decided.
            turn_count: Decisions of the conversation that tickets tell of, this one included.
            now_s: Unix time, in seconds.

        Returns:
            At most `MAX_TICKET_CHARACTERS` characters that are safe in URLs.
        """
        if route is None:
            return ""
        ticket = RouteTicket(policy_set.id, policy_set.revision, route.id, turn_count, int(now_s))
        content = _VERSION + json.dumps(ticket, ensure_ascii=False, separators=(",", ":")).encode()
        return _encoded(content + _mac(self._keys[0], content))

    def redeem(self, rule: DecisionRule, policy_set: PolicySet, *, now_s: float) -> Redeemed:
        """Read the ticket of a request, if it has one.

        Args:
            rule: The request's; its ticket is untrusted.
            policy_set: The set that decides now, in whatever revision.
            now_s: Unix time, in seconds.

        Returns:
            The rule to decide by. A ticket that cannot be used is as if it had not been sent, but for the warning.
        """
        text = rule.stickiness.route_ticket
        if not text:
            return Redeemed(rule)
        ticket = self._read(text, policy_set, now_s)
        if isinstance(ticket, str):
            message = f"the route ticket {_PROBLEMS[ticket]}; the conversation was decided without it"
            warning = DecisionWarning(WarningCode.ROUTE_TICKET_IGNORED, message, {"cause": ticket})
            return Redeemed(rule, warnings=(warning,))
        stickiness = replace(rule.stickiness, previous_route_id=ticket.route_id)
        return Redeemed(replace(rule, stickiness=stickiness), ticket.turn_count)

    def _read(self, text: str, policy_set: PolicySet, now_s: float) -> RouteTicket | str:
        """Return what a ticket says, or the cause why it cannot be used."""
        signed = _decoded(text)
        if signed[:1] != _VERSION or len(signed) <= _MAC_BYTES:
            return "malformed"
        content, mac = signed[:-_MAC_BYTES], signed[-_MAC_BYTES:]
        # Each key is tried, each in constant time, so the answer's time tells nothing about any.
        signed_by = [hmac.compare_digest(mac, _mac(key, content)) for key in self._keys]
        if not any(signed_by):
            return "signature"
        ticket = RouteTicket(*json.loads(content[1:]))  # it is ours, so it has this form
        if now_s > ticket.issue_time_s + self._lifetime_s:
            return "expired"
        if ticket.policy_set_id != policy_set.id:
            return "policy_set"
        return ticket if policy_set.route(ticket.route_id) else "route"


def read_keys(text: str) -> tuple[bytes, ...]:
    """Read a key file: a key a line, of any characters; empty lines and lines that start with ``#`` say nothing.

    Raises:
        ValueError: When there is no key or one is too short; the message counts lines and repeats none.
    """
    remedy = "write one made by: openssl rand -base64 48"
    keys = []
    for number, line in enumerate(text.splitlines(), start=1):
        key = line.strip().encode()
        if not key or key.startswith(b"#"):
            continue
        if len(key) < MIN_KEY_BYTES:
            msg = f"ticket key file, line {number}: {len(key)} bytes are fewer than {MIN_KEY_BYTES}; {remedy}"
            raise ValueError(msg)
        keys.append(key)
    if not keys:
        msg = f"the ticket key file (routing.ticket_key_file) holds no key; {remedy}"
        raise ValueError(msg)
    return tuple(keys)


def _mac(key: bytes, content: bytes) -> bytes:
    return hmac.digest(key, content, hashlib.sha256)


def _encoded(signed: bytes) -> str:
    return base64.urlsafe_b64encode(signed).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    """Read base64url; empty for anything that `_encoded` would have written differently."""
    try:
        signed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return b""
    return signed if _encoded(signed) == text else b""
