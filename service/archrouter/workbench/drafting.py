"""Test conversations of a policy set, written by a model behind an endpoint with OpenAI's chat completions.

What comes back is a stranger's text: its form is checked strictly, and it is only ever routed and shown, escaped.
"""

import json
import unicodedata
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException
from time import sleep
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from archrouter.domain.conversation import Message, Role
from archrouter.domain.policy import PolicySet
from archrouter.http_calls import LOOPBACK, NoRedirect
from archrouter.workbench.chat_completions import (
    UnusableAnswerError,
    error_reason,
    read_answer,
    read_content,
    retry_after_s,
)
from archrouter.workbench.policies import WorkbenchError
from archrouter.workbench.policy_cases import PolicyCase, Source

MAX_CALLS = 200
"""Routes that one command drafts for: each is a call that somebody pays for."""

ATTEMPTS = 3
"""Of a call: after an answer that cannot be used, and where the endpoint has no room."""

MAX_WAIT_S = 30.0
"""Longest wait for an endpoint that asks to come back later; one that wants more ends the command."""

MAX_CHARACTERS = 2_000
"""Of a drafted message; an answer with a longer one is not used."""

_CONCURRENCY = 4
_MAX_BYTES = 1 << 20
_NO_ACCESS = frozenset({401, 403})
_TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_QUOTA_CODE = "insufficient_quota"  # OpenAI's 429 that no waiting cures
_MASK = "[key]"
_SYSTEM = """\
You write test conversations for a router, which sends each to one of several routes by their descriptions. Write what
real users would send to an assistant: in their own words, not in those of the descriptions; short and long, clear and
clumsy. The description of the route in question has to fit the latest message better than any other. Answer with one
JSON object and nothing else: {"conversations": [["message of the user"], ["message of the user", "answer of the
assistant", "message of the user"]]}. Most conversations are one message."""


def _plain(text: str) -> str:
    """Refuse control characters, which could drive the terminal that shows the text."""
    if any(unicodedata.category(character) == "Cc" and character not in "\n\t" for character in text):
        msg = "holds control characters"
        raise ValueError(msg)
    return text


_Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_CHARACTERS), AfterValidator(_plain)
]


class _Drafts(BaseModel):
    """What is asked for: messages of the user and the assistant in turns."""

    model_config = ConfigDict(extra="forbid")

    conversations: list[Annotated[list[_Text], Field(min_length=1, max_length=7)]] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Drafter:
    """Who drafts.

    Attributes:
        url: Address below which ``/chat/completions`` is, e.g. ``https://api.example/v1``.
        model: Name of the model there.
        key: Sent as a bearer token; empty for none. Never shown.
        timeout_s: Longest silence of the endpoint, in seconds.
    """

    url: str
    model: str
    key: str = field(default="", repr=False)
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        """Raise `WorkbenchError` for an address or a key that cannot be used."""
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            msg = f"{self.url!r} is no address of an endpoint; write https://HOST/v1, or http:// on this machine"
            raise WorkbenchError(msg)
        if parts.username is not None or parts.password is not None:
            msg = (
                "the endpoint's address holds a user or a password, which would be shown; name a variable with the key"
            )
            raise WorkbenchError(msg)
        if self.key and parts.scheme == "http" and parts.hostname not in LOOPBACK:
            msg = f"a key is not sent to {parts.hostname} by plain http, where others can read it; use https"
            raise WorkbenchError(msg)
        if not self.key.isascii() or not self.key.isprintable() or " " in self.key:
            msg = "the key of the endpoint is not one word of printable ASCII characters; correct the variable"
            raise WorkbenchError(msg)

    @property
    def name(self) -> str:
        """The model and where it is, for people."""
        return f"{self.model} at {urlsplit(self.url).hostname}"


def draft_cases(
    policy_set: PolicySet, drafter: Drafter, count: int, note: Callable[[str], None]
) -> tuple[PolicyCase, ...]:
    """Have conversations written for each route.

    Args:
        policy_set: The set; the model reads all of its descriptions.
        drafter: Who drafts.
        count: Conversations for each route, >= 1.
        note: Told of a route without any, and why.

    Returns:
        At most `count` cases a route, in the order of the routes, as the model labels them: that may be wrong.

    Raises:
        WorkbenchError: When the endpoint cannot be used, or no route has got any.
    """
    if len(policy_set.routes) > MAX_CALLS:
        msg = f"{policy_set.id} has {len(policy_set.routes)} routes, and a call is made for each: more than {MAX_CALLS}"
        raise WorkbenchError(msg)

    def drafted(route_id: str) -> tuple[PolicyCase, ...] | UnusableAnswerError:
        """Draft for one route, or say why there is nothing."""
        try:
            return tuple(_case(texts, route_id) for texts in _drafts(policy_set, route_id, drafter, count)[:count])
        except UnusableAnswerError as error:
            return error

    cases: list[PolicyCase] = []
    with ThreadPoolExecutor(_CONCURRENCY) as workers:
        for route, found in zip(
            policy_set.routes, workers.map(drafted, [route.id for route in policy_set.routes]), strict=True
        ):
            if isinstance(found, UnusableAnswerError):
                note(f"{policy_set.id}: no conversation was drafted for {route.id}: {found}")
            else:
                cases.extend(found)
    if not cases:
        msg = f"{drafter.name} drafted nothing that can be used for {policy_set.id}; try another model"
        raise WorkbenchError(msg)
    return tuple(dict.fromkeys(cases))


def _case(texts: list[str], route_id: str) -> PolicyCase:
    roles = (Role.ASSISTANT if index % 2 else Role.USER for index in range(len(texts)))
    return PolicyCase(tuple(map(Message, roles, texts)), Source.DRAFTED, route_id)


def _drafts(policy_set: PolicySet, route_id: str, drafter: Drafter, count: int) -> list[list[str]]:
    routes = {route.id: route.description or f"such as: {route.examples[0]}" for route in policy_set.routes}
    task = {"routes": routes, "route": route_id, "count": count}
    messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": json.dumps(task)}]
    payload = json.dumps({"model": drafter.model, "messages": messages}).encode()
    for attempt in range(ATTEMPTS):
        try:
            drafts = read_answer(read_content(_post(drafter, payload)), _Drafts)
        except UnusableAnswerError:
            if attempt + 1 == ATTEMPTS:
                raise
        else:
            return [texts for texts in drafts.conversations if len(texts) % 2]  # the user has the last word
    return []


def _post(drafter: Drafter, payload: bytes) -> str:
    """Make one call, and again where the endpoint is only out of room or out of reach."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {drafter.key}"} if drafter.key else {})
    request = urllib.request.Request(f"{drafter.url.rstrip('/')}/chat/completions", payload, headers)  # noqa: S310  # http or https
    opener, problem, wait_s = urllib.request.build_opener(NoRedirect), "", 0.0
    for attempt in range(ATTEMPTS):
        sleep(wait_s)
        advised_s = None
        try:
            with opener.open(request, timeout=drafter.timeout_s) as response:
                body: bytes = response.read(_MAX_BYTES)
                return body.decode(errors="replace")
        except urllib.error.HTTPError as error:
            problem, advised_s = _refusal(drafter, error), retry_after_s(error.headers.get("Retry-After", ""))
        except (OSError, HTTPException) as error:
            problem = f"does not answer ({type(error).__name__})"
        wait_s = 2.0**attempt if advised_s is None else advised_s
        if wait_s > MAX_WAIT_S:
            problem += f", and asks to wait {wait_s:.0f} s"
            break
    msg = f"{drafter.name} {problem}; try again later"
    raise WorkbenchError(msg)


def _refusal(drafter: Drafter, error: urllib.error.HTTPError) -> str:
    """Say what an error status means; raises for one that no waiting cures.

    Of a refused key only the status is told: what the endpoint says of it quotes a part.
    """
    try:
        body = error.read(_MAX_BYTES).decode(errors="replace")
    except (OSError, HTTPException):
        body = ""
    if error.code in _NO_ACCESS:
        msg = f"{drafter.name} refuses the key (HTTP {error.code}); check the variable that holds it, and its rights"
        raise WorkbenchError(msg)
    reason = error_reason(body)
    problem = f"answers HTTP {error.code}{reason.replace(drafter.key, _MASK) if drafter.key else reason}"
    problem = "".join(character if character.isprintable() else " " for character in problem)
    if error.code not in _TRANSIENT or _QUOTA_CODE in body:
        msg = f"{drafter.name} {problem}; check the address, the model's name and the account"
        raise WorkbenchError(msg)
    return problem
