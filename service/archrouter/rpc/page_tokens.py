"""Page tokens of ListPolicySets: opaque, and bound to the revisions that the first page was made of.

A token names no state of a process, so any replica that serves the same revisions can answer it.
"""

import base64
import binascii
import hashlib
import re
from typing import NoReturn

from archrouter.application.policy_store import PolicySnapshot
from archrouter.domain.errors import InvalidRequestError
from archrouter.domain.findings import Finding, Severity

_TOKEN = re.compile(r"([0-9a-f]{16}):([0-9]{1,9})")


def encode_page_token(snapshot: PolicySnapshot, offset: int) -> str:
    """Make the token of a page.

    Args:
        snapshot: What is being listed.
        offset: Index of the page's first policy set, >= 1.

    Returns:
        A token without padding, safe in URLs.
    """
    return base64.urlsafe_b64encode(f"{_digest(snapshot)}:{offset}".encode()).decode().rstrip("=")


def decode_page_token(snapshot: PolicySnapshot, token: str) -> int:
    """Read a token.

    Args:
        snapshot: What is being listed now.
        token: As the caller sent it; empty asks for the first page.

    Returns:
        Index of the page's first policy set.

    Raises:
        InvalidRequestError: When the token is malformed, or the policy sets have changed since it was made.
    """
    if not token:
        return 0
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    match = _TOKEN.fullmatch(text)
    if match is None:
        _refuse("is no page token of this API; send next_page_token of the page before, unchanged")
    if match[1] != _digest(snapshot):
        _refuse("is stale: the policy sets have changed since; start again without a page token")
    return int(match[2])


def _digest(snapshot: PolicySnapshot) -> str:
    revisions = "\n".join(f"{key} {loaded.policy_set.revision}" for key, loaded in snapshot.loaded.items())
    return hashlib.sha256(revisions.encode()).hexdigest()[:16]


def _refuse(description: str) -> NoReturn:
    raise InvalidRequestError((Finding(Severity.ERROR, "page_token", description),))
