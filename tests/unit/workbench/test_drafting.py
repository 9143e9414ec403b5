"""Conversations drafted by a model, over a real socket: what endpoints answer, and what comes of it."""

import json
import threading
from collections.abc import Callable, Sequence

import pytest
from tests.support.chat_endpoint import Asked, Reply, chat_endpoint, completion, error

from archrouter.domain.conversation import Role
from archrouter.domain.policy import PolicySet
from archrouter.policy_files.policies import load_policy_set
from archrouter.workbench import drafting
from archrouter.workbench.drafting import ATTEMPTS, MAX_CALLS, Drafter, draft_cases
from archrouter.workbench.policies import WorkbenchError
from archrouter.workbench.policy_cases import PolicyCase, Source

KEY = "sk-test-0123456789"
ONE_ROUTE = """\
policy_set: support
models: {small: {model: m}}
fallback: [small]
routes:
  - {id: refund, description: Asks for money back, models: [small]}
"""
TWO_ROUTES = f"{ONE_ROUTE}  - {{id: parcel, models: [small], examples: [where is my box]}}\n"
GOOD = '{"conversations": [["money back"], ["hello", "how can I help?", "it broke, refund me"]]}'


def _policy_set(text: str = ONE_ROUTE) -> PolicySet:
    policy_set, findings = load_policy_set(text)
    assert policy_set is not None, findings
    return policy_set


class _Script:
    """Answers one after the other, the last one for ever; keeps what was asked."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.asked: list[Asked] = []
        self._lock = threading.Lock()

    def __call__(self, asked: Asked) -> Reply:
        with self._lock:
            self.asked.append(asked)
            return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Keep how long the drafter would wait, and do not wait."""
    kept: list[float] = []
    monkeypatch.setattr(drafting, "sleep", kept.append)
    return kept


def _draft(
    answer: Callable[[Asked], Reply], policy_set: PolicySet | None = None, *, count: int = 4, key: str = KEY
) -> tuple[Sequence[PolicyCase], list[str]]:
    notes: list[str] = []
    with chat_endpoint(answer) as url:
        cases = draft_cases(policy_set or _policy_set(), Drafter(url, "writer", key), count, notes.append)
    return cases, notes


def _error(answer: Callable[[Asked], Reply], **options: object) -> str:
    with pytest.raises(WorkbenchError) as raised:
        _draft(answer, **options)  # type: ignore[arg-type]  # as the test says
    return str(raised.value)


def test_conversations_are_drafted_for_each_route(waits: list[float]) -> None:
    """Each route's answer becomes cases that expect it and say that they were drafted; the model sees all routes."""
    script = _Script(completion(f"Here you are:\n```json\n{GOOD}\n```"))

    cases, notes = _draft(script, _policy_set(TWO_ROUTES))

    assert (["refund", "refund", "parcel", "parcel"], []) == ([case.expected for case in cases], notes)
    assert {Source.DRAFTED} == {case.source for case in cases}
    assert [(Role.USER, "hello"), (Role.ASSISTANT, "how can I help?"), (Role.USER, "it broke, refund me")] == [
        (message.role, message.content) for message in cases[1].messages
    ]
    asked = script.asked[0]
    assert ("/v1/chat/completions", f"Bearer {KEY}", "writer") == (asked.path, asked.authorization, asked.body["model"])
    task = json.loads(asked.body["messages"][1]["content"])
    assert {"refund": "Asks for money back", "parcel": "such as: where is my box"} == task["routes"]
    assert {"refund", "parcel"} == {json.loads(one.body["messages"][1]["content"])["route"] for one in script.asked}
    assert not any(waits)


def test_no_more_than_asked_for_is_taken() -> None:
    """A model that writes more is cut, one that repeats itself counts once, and the user has the last word."""
    repeated = '{"conversations": [["a"], ["a"], ["b", "c"], ["d"], ["e"]]}'

    cases, _ = _draft(_Script(completion(repeated)), count=3)

    assert ["a", "d"] == [case.text for case in cases]


def test_without_a_key_none_is_sent() -> None:
    """A server on this machine may need none."""
    script = _Script(completion(GOOD))

    _draft(script, key="")

    assert [""] == [asked.authorization for asked in script.asked]


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (completion('{"conversations": [["money'), "it is not one JSON object"),
        (completion('{"conversations": []}'), "conversations: List should have at least 1 item"),
        (completion('{"conversations": [["a", 7]]}'), "conversations.0.1: Input should be a valid string"),
        (completion('{"conversations": [["  "]]}'), "conversations.0.0: String should have at least 1 character"),
        (completion('{"conversations": [["\\u001b[2Jgone"]]}'), "conversations.0.0: Value error, holds control"),
        (
            completion(json.dumps({"conversations": [["x" * 2001]]})),
            "conversations.0.0: String should have at most",
        ),
        (completion('{"conversations": [["a"]], "note": "b"}'), "note: Extra inputs are not permitted"),
        (completion(None, refusal="I can't help with that."), "the request was declined"),
        (completion(None, finish_reason="content_filter"), "the request was declined"),
        (completion('{"conversations": [[', finish_reason="length"), "the answer was longer than allowed"),
        (Reply("<html>"), "the answer did not arrive in one piece"),
        (Reply('{"choices": []}'), "the answer did not arrive in one piece"),
    ],
)
def test_answer_that_cannot_be_used_is_asked_for_again(reply: Reply, problem: str) -> None:
    """What is not of the form asked for is never guessed at: another answer is, and a route may get none."""
    mended = _Script(reply, completion(GOOD))
    assert 2 == len(_draft(mended)[0])
    assert 2 == len(mended.asked)

    def one_route_fails(asked: Asked) -> Reply:
        task = json.loads(asked.body["messages"][1]["content"])
        return reply if task["route"] == "refund" else completion(GOOD)

    cases, notes = _draft(one_route_fails, _policy_set(TWO_ROUTES))
    assert ["parcel", "parcel"] == [case.expected for case in cases]
    assert [True] == [f"no conversation was drafted for refund: {problem}" in note for note in notes]

    never = _Script(reply)
    assert "drafted nothing that can be used for support" in _error(never)
    assert ATTEMPTS == len(never.asked)


def test_refused_key_ends_the_drafting_and_is_not_shown() -> None:
    """The endpoint's words on a key quote a part of it, so only the status is told, after one call."""
    script = _Script(error(401, f"Incorrect API key provided: {KEY}.", "invalid_api_key"))

    message = _error(script)

    assert "writer at 127.0.0.1 refuses the key (HTTP 401)" in message
    assert KEY not in message
    assert 1 == len(script.asked)


def test_endpoint_out_of_room_is_asked_again_when_it_says(waits: list[float]) -> None:
    """Retry-After is kept, in seconds; without it the wait grows; other calls of the day are not lost."""
    script = _Script(error(429, "slow down", Retry_After="7"), error(503, "overloaded"), completion(GOOD))

    cases, _ = _draft(script)

    assert (2, [0.0, 7.0, 2.0]) == (len(cases), waits)


@pytest.mark.parametrize(
    ("reply", "problem", "count"),
    [
        (error(429, "slow down", Retry_After="3600"), "answers HTTP 429 (slow down), and asks to wait 3600 s", 1),
        (error(429, "slow down", Retry_After="soon"), "answers HTTP 429 (slow down); try again later", ATTEMPTS),
        (error(429, "You exceeded your current quota", "insufficient_quota"), "check the address, the model's", 1),
        (error(404, "The model `writer` does not exist", "model_not_found"), "(The model `writer` does not exist)", 1),
        (error(400, f"bad\x1b[2J header {KEY}"), "answers HTTP 400 (bad [2J header [key])", 1),
        (Reply("Bad Gateway", 502), "answers HTTP 502; try again later", ATTEMPTS),
    ],
)
def test_error_says_what_to_do(waits: list[float], reply: Reply, problem: str, count: int) -> None:
    """What waiting cures is asked again, a bounded number of times; the rest ends at once, the key masked."""
    script = _Script(reply)

    message = _error(script)

    assert problem in message
    assert KEY not in message
    assert count == len(script.asked) == len(waits)


def test_redirect_is_not_followed() -> None:
    """It could take the key to another host."""
    script = _Script(Reply("", 302, {"Location": "/elsewhere"}))

    assert "answers HTTP 302" in _error(script)
    assert 1 == len(script.asked)


def test_silent_endpoint_is_given_up(waits: list[float]) -> None:
    """An endpoint that takes a call and says nothing is asked a bounded number of times; so is one that is gone."""
    released = threading.Event()

    def silent(_asked: Asked) -> Reply:
        released.wait(10)
        return completion(GOOD)

    with chat_endpoint(silent) as url:
        try:
            with pytest.raises(WorkbenchError, match=r"does not answer \(TimeoutError\); try again later"):
                draft_cases(_policy_set(), Drafter(url, "writer", timeout_s=0.1), 1, print)
        finally:
            released.set()
    with pytest.raises(WorkbenchError, match=r"does not answer \(URLError\)"):
        draft_cases(_policy_set(), Drafter(url, "writer"), 1, print)
    assert [0.0, 1.0, 2.0] * 2 == waits


def test_calls_are_bounded() -> None:
    """A set with more routes than calls may be made is refused before the first one."""
    routes = "".join(
        f"  - {{id: r{number}, description: Route number {number}, models: [small]}}\n" for number in range(MAX_CALLS)
    )
    script = _Script(completion(GOOD))

    assert "more than 200" in _error(script, policy_set=_policy_set(ONE_ROUTE + routes))
    assert [] == script.asked


@pytest.mark.parametrize(
    ("url", "key", "problem"),
    [
        ("api.example/v1", "", "is no address of an endpoint"),
        ("file:///etc/passwd", "", "is no address of an endpoint"),
        ("https://user:secret@api.example/v1", "", "holds a user or a password"),
        ("http://api.example/v1", KEY, "is not sent to api.example by plain http"),
        ("https://api.example/v1", "two words", "is not one word"),
        ("https://api.example/v1", "line\nbreak", "is not one word"),
    ],
)
def test_address_or_key_that_cannot_be_used(url: str, key: str, problem: str) -> None:
    """Nothing is sent where a key could be read or an address leads nowhere, and no secret is in the error."""
    with pytest.raises(WorkbenchError, match=problem) as raised:
        Drafter(url, "writer", key)

    assert "secret" not in str(raised.value)
    assert not key or key not in str(raised.value)


def test_key_is_not_in_the_repr() -> None:
    """A drafter in a log or a traceback does not give its key away."""
    assert KEY not in repr(Drafter("https://api.example/v1", "writer", KEY))
