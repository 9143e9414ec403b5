"""From a request to an answer: retries, waits, limits, and endpoints that know no JSON schema."""

import asyncio
import json
from collections.abc import Callable, Sequence

import httpx2
import pytest
from data.drafting.chat_request import ChatRequest
from data.drafting.endpoint import ChatEndpoint
from data.drafting.errors import (
    BudgetExhaustedError,
    EndpointUnusableError,
    InterruptedRunError,
    RejectedError,
    Rejection,
    UnansweredError,
)
from data.drafting.ledger import Ledger
from data.drafting.sender import Sender
from data.drafting.settings import AttemptSettings, BudgetSettings, EndpointSettings, Role, RoleSettings, RolesSettings
from data.drafting.stop import StopSignal
from pydantic import JsonValue

ROLE = RoleSettings(model="model", max_output_tokens=100, parameters={"top_p": 0.5}, temperature=0.3)
ROLES = RolesSettings(intent_writer=ROLE, dialogue_writer=ROLE, labeller=ROLE)
REQUEST = ChatRequest(Role.LABELLER, "item", 1, ROLE, "system", "user", "Name", {"type": "object"})

Answers = Callable[[httpx2.Request], httpx2.Response]


class Bench:
    """A sender whose network is a function, and what went over it."""

    def __init__(self, answer: Answers, *, retries: int = 10, **endpoint: JsonValue) -> None:
        """Wire it up; `endpoint` changes its settings."""
        self.payloads: list[dict[str, JsonValue]] = []
        self.stop = StopSignal()
        self.ledger = Ledger(BudgetSettings(retries=retries), ROLES, ())
        settings = EndpointSettings.model_validate({"base_url": "http://127.0.0.1:1/v1", **endpoint})
        attempts = AttemptSettings(request=3, initial_wait_s=0.001, max_wait_s=0.002)

        def record(request: httpx2.Request) -> httpx2.Response:
            self.payloads.append(json.loads(request.content))
            return answer(request)

        target = ChatEndpoint(settings, None, httpx2.MockTransport(record))
        self.sender = Sender(target, settings, attempts, self.ledger, self.stop)


def play(statuses: Sequence[int], headers: dict[str, str] | None = None) -> Answers:
    """Answer with these statuses in turn, the last for good."""
    remaining = list(statuses)

    def answer(request: httpx2.Request) -> httpx2.Response:
        del request
        return httpx2.Response(remaining.pop(0) if len(remaining) > 1 else remaining[0], text="{}", headers=headers)

    return answer


async def test_request_is_what_the_role_and_the_endpoint_say() -> None:
    """Model, decoding and schema are sent under the names that this endpoint uses."""
    bench = Bench(play([200]), output_limit_member="max_completion_tokens")

    assert "{}" == await bench.sender.send(REQUEST)

    assert [
        {
            "model": "model",
            "messages": [{"role": "system", "content": "system"}, {"role": "user", "content": "user"}],
            "max_completion_tokens": 100,
            "temperature": 0.3,
            "top_p": 0.5,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "Name", "strict": True, "schema": {"type": "object"}},
            },
        }
    ] == bench.payloads


async def test_failures_are_repeated_as_often_as_allowed() -> None:
    """Two failures and an answer fit into three attempts."""
    bench = Bench(play([500, 503, 200]))

    assert "{}" == await bench.sender.send(REQUEST)
    assert (3, 2) == (len(bench.payloads), bench.ledger.retries)


async def test_endpoint_that_never_answered_is_unusable() -> None:
    """Before the first answer, failures are not the request's fault."""
    with pytest.raises(EndpointUnusableError, match="it has answered nothing so far"):
        await Bench(play([500])).sender.send(REQUEST)


async def test_request_that_keeps_failing_among_others_is_unanswered() -> None:
    """After an answer, one request that fails for good says nothing of the next."""
    bench = Bench(play([200, 500]))
    await bench.sender.send(REQUEST)

    with pytest.raises(UnansweredError, match="given up after 3 tries: the endpoint answers 500"):
        await bench.sender.send(REQUEST)


async def test_retries_of_a_run_are_limited_together() -> None:
    """The limit belongs to the run, so a second failing request gets only what the first left."""
    bench = Bench(play([200, 500]), retries=3)
    await bench.sender.send(REQUEST)
    with pytest.raises(UnansweredError):
        await bench.sender.send(REQUEST)

    with pytest.raises(BudgetExhaustedError, match=r"budget.retries is used up \(3\)"):
        await bench.sender.send(REQUEST)

    assert 1 + 3 + 2 == len(bench.payloads)


async def test_refused_request_is_rejected_once_others_were_answered() -> None:
    """It is not repeated: the same request would be refused again."""
    bench = Bench(play([200, 422]), structured_output="json_schema")
    await bench.sender.send(REQUEST)

    with pytest.raises(RejectedError) as raised:
        await bench.sender.send(REQUEST)

    assert Rejection.REQUEST_REFUSED is raised.value.reason
    assert 2 == len(bench.payloads)


async def test_schema_is_left_out_for_a_model_that_refused_it() -> None:
    """The refusal is remembered, so it is met once."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(400 if b"response_format" in request.content else 200, text="{}")

    bench = Bench(answer)

    await bench.sender.send(REQUEST)
    await bench.sender.send(REQUEST)

    assert [True, False, False] == ["response_format" in payload for payload in bench.payloads]


async def test_refusal_of_content_does_not_turn_schemas_off() -> None:
    """Only a plain request that is then taken shows that the schema was at fault."""
    bench = Bench(play([200, 400, 400, 200]))
    await bench.sender.send(REQUEST)
    with pytest.raises(RejectedError):
        await bench.sender.send(REQUEST)

    await bench.sender.send(REQUEST)

    assert [True, True, False, True] == ["response_format" in payload for payload in bench.payloads]


async def test_plain_mode_never_sends_a_schema() -> None:
    """For endpoints that take the member and then misbehave."""
    bench = Bench(play([200]), structured_output="plain")

    await bench.sender.send(REQUEST)

    assert "response_format" not in bench.payloads[0]


async def test_retry_after_holds_every_request_back() -> None:
    """When one request is told to wait, another that has not asked yet waits too."""
    bench = Bench(play([429, 200], {"Retry-After": "0.2"}))
    loop = asyncio.get_running_loop()
    first = asyncio.create_task(bench.sender.send(REQUEST))
    while not bench.payloads:
        await asyncio.sleep(0)
    told_s = loop.time()
    while not bench.sender._open_at_s:
        await asyncio.sleep(0)

    await bench.sender.send(REQUEST)

    assert loop.time() - told_s >= 0.19
    await first


async def test_too_long_retry_after_ends_the_run() -> None:
    """Nobody wants a program that sleeps for a day."""
    bench = Bench(play([429], {"Retry-After": "86400"}))

    with pytest.raises(EndpointUnusableError, match="asks to wait 86400 s"):
        await bench.sender.send(REQUEST)


async def test_stop_ends_a_wait_at_once() -> None:
    """A request that waits for its turn costs nothing to give up."""
    bench = Bench(play([429], {"Retry-After": "60"}))
    waiting = asyncio.create_task(bench.sender.send(REQUEST))
    while not bench.ledger.retries:
        await asyncio.sleep(0)

    bench.stop.set(InterruptedRunError("enough"))

    with pytest.raises(InterruptedRunError, match="enough"):
        await asyncio.wait_for(waiting, timeout=5)
    assert 1 == len(bench.payloads)


@pytest.mark.parametrize("limit", ["requests_per_minute", "tokens_per_minute"])
async def test_rate_limits_hold_requests_back(limit: str) -> None:
    """With room for one request a minute the second does not go out."""
    bench = Bench(play([200]), **{limit: 1})
    await bench.sender.send(REQUEST)

    second = asyncio.create_task(bench.sender.send(REQUEST))
    await asyncio.sleep(0.05)
    bench.stop.set(InterruptedRunError("enough"))

    with pytest.raises(InterruptedRunError):
        await second
    assert 1 == len(bench.payloads)


def digest(**changes: object) -> str:
    """Give the digest of the request with some members changed."""
    members = {name: getattr(REQUEST, name) for name in REQUEST.__slots__} | changes
    return ChatRequest(**members).digest


@pytest.mark.parametrize(
    "change",
    [
        {"role": Role.INTENT_WRITER},
        {"item": "item-2"},
        {"attempt": 2},
        {"settings": ROLE.model_copy(update={"model": "other"})},
        {"settings": ROLE.model_copy(update={"temperature": None})},
        {"settings": ROLE.model_copy(update={"max_output_tokens": 99})},
        {"settings": ROLE.model_copy(update={"parameters": {}})},
        {"system": "other"},
        {"user": "other"},
        {"answer_schema": {}},
    ],
)
def test_digest_changes_with_everything_that_can_change_the_answer(change: dict[str, object]) -> None:
    """An answer is never taken for that of another request."""
    assert digest() != digest(**change)


def test_digest_stays_when_only_prices_change() -> None:
    """What an answer costs is no part of the question, nor is the name of its type."""
    priced = ROLE.model_copy(update={"input_price": 5.0})

    assert digest() == digest(settings=priced) == digest(answer_name="Other")
    assert digest().startswith("sha256:")
