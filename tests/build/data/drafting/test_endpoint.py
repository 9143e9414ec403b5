"""One request: how each way to fail is sorted, and that none is forgotten."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest
from data.drafting.endpoint import MAX_BODY_BYTES, ChatEndpoint, sends_in_the_clear
from data.drafting.errors import EndpointUnusableError, RequestRefusedError, SetupError, TransientError
from data.drafting.settings import EndpointSettings
from pydantic import SecretStr

URL = "http://127.0.0.1:1/v1"


def endpoint(answer: Callable[[httpx2.Request], httpx2.Response], base_url: str = URL, key: str = "") -> ChatEndpoint:
    """Make an endpoint whose network is a function."""
    settings = EndpointSettings(base_url=base_url, timeout_s=5.0)
    return ChatEndpoint(settings, SecretStr(key) if key else None, httpx2.MockTransport(answer))


async def post(response: httpx2.Response | Exception) -> str:
    """Ask once and get that response."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        del request
        if isinstance(response, Exception):
            raise response
        return response

    async with endpoint(answer) as target:
        return await target.post({"model": "m"}, "sha256:1")


async def test_request_carries_payload_key_and_idempotency_key() -> None:
    """The address is completed, and the same request is recognisable as the same."""
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, text="answered for secret")

    async with endpoint(answer, "http://127.0.0.1:1/some/v1/", key="secret") as target:
        body = await target.post({"model": "m"}, "sha256:1")

    (request,) = seen
    assert "answered for [key]" == body
    assert "/some/v1/chat/completions" == request.url.path
    assert b'{"model":"m"}' == request.content
    assert "Bearer secret" == request.headers["Authorization"]
    assert "sha256:1" == request.headers["Idempotency-Key"]


async def test_no_credentials_are_sent_without_a_key() -> None:
    """A local server gets no Authorization header."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, text=str("Authorization" in request.headers))

    async with endpoint(answer) as target:
        assert "False" == await target.post({}, "sha256:1")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, EndpointUnusableError),
        (400, RequestRefusedError),
        (401, EndpointUnusableError),
        (402, EndpointUnusableError),
        (403, EndpointUnusableError),
        (404, RequestRefusedError),
        (408, TransientError),
        (409, TransientError),
        (413, RequestRefusedError),
        (422, RequestRefusedError),
        (425, TransientError),
        (429, TransientError),
        (500, TransientError),
        (501, RequestRefusedError),
        (502, TransientError),
        (503, TransientError),
        (504, TransientError),
        (529, TransientError),
    ],
)
async def test_statuses_are_sorted_by_what_helps(status: int, kind: type[Exception]) -> None:
    """Waiting, another request, or another configuration: one of the three, for every status."""
    with pytest.raises(kind, match=str(status)):
        await post(httpx2.Response(status, json={"error": {"message": "because"}}))


async def test_used_up_quota_is_not_waited_for() -> None:
    """A 429 can also mean that the money is gone."""
    error = {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}

    with pytest.raises(EndpointUnusableError, match="raise the quota"):
        await post(httpx2.Response(429, json=error))


@pytest.mark.parametrize(("value", "seconds"), [("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("soon", None), ("", None)])
async def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    """What cannot be read counts as not said."""
    with pytest.raises(TransientError) as raised:
        await post(httpx2.Response(429, headers={"Retry-After": value}))

    assert seconds == raised.value.retry_after_s


async def test_retry_after_as_a_date() -> None:
    """RFC 9110 also allows a date; a past one means at once."""
    moment = datetime.now(tz=UTC) + timedelta(seconds=30)
    with pytest.raises(TransientError) as raised:
        await post(httpx2.Response(503, headers={"Retry-After": format_datetime(moment, usegmt=True)}))
    assert raised.value.retry_after_s == pytest.approx(30, abs=3)

    with pytest.raises(TransientError) as raised:
        await post(httpx2.Response(503, headers={"Retry-After": "Mon, 01 Jan 2024 00:00:00 GMT"}))
    assert 0.0 == raised.value.retry_after_s


def library_errors(kind: type[httpx2.HTTPError] = httpx2.RequestError) -> Iterator[type[httpx2.HTTPError]]:
    """List what the library can raise while a request is on its way."""
    yield kind
    for further in kind.__subclasses__():
        yield from library_errors(further)


@pytest.mark.parametrize("kind", list(library_errors()))
async def test_every_error_of_the_library_is_sorted(kind: Callable[[str], Exception]) -> None:
    """A new kind of error in the library does not end a run with a traceback."""
    with pytest.raises((TransientError, EndpointUnusableError)) as raised:
        await post(kind("broken"))

    assert raised.value.__cause__ is not None


async def test_endless_answer_is_cut() -> None:
    """An endpoint cannot fill the memory."""
    with pytest.raises(TransientError, match=f"more than {MAX_BODY_BYTES} bytes"):
        await post(httpx2.Response(200, content=b"x" * (MAX_BODY_BYTES + 1)))


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("http://127.0.0.1:8000/v1", False),
        ("http://[::1]:8000/v1", False),
        ("http://localhost/v1", False),
        ("https://llm.example/v1", False),
        ("http://llm.example/v1", True),
        ("http://127.0.0.1.llm.example/v1", True),
    ],
)
def test_plain_http_to_another_machine_is_noticed(base_url: str, *, expected: bool) -> None:
    """A key is safe on this machine and under TLS."""
    assert expected == sends_in_the_clear(base_url)


@pytest.mark.parametrize(
    ("base_url", "problem"),
    [
        ("127.0.0.1:8000/v1", "is no address"),
        ("ftp://127.0.0.1/v1", "is no address"),
        ("http:///v1", "is no address"),
        ("http://[::1/v1", "is no address"),
        ("http://user:secret@127.0.0.1/v1", "holds credentials"),
    ],
)
def test_unusable_address_is_refused_before_any_request(base_url: str, problem: str) -> None:
    """The message names the key, and never a password."""
    with pytest.raises(SetupError) as raised:
        ChatEndpoint(EndpointSettings(base_url=base_url), None)

    assert str(raised.value).startswith("endpoint.base_url: ")
    assert problem in str(raised.value)
    assert "secret" not in str(raised.value)
