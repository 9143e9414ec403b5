"""One request to an OpenAI-compatible chat endpoint, its failures sorted by what can be done about them.

The API key comes from a file or the environment, and is never shown.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2
from pydantic import SecretStr

from archrouter.workbench.chat_completions import error_reason, retry_after_s
from data.drafting.errors import EndpointUnusableError, RequestRefusedError, SetupError, TransientError
from data.drafting.settings import EndpointSettings

CONNECT_TIMEOUT_S = 10.0
"""Longest wait for a connection, in seconds; a host that takes longer is as good as absent."""

MAX_BODY_BYTES = 8 * 1024 * 1024
"""An answer is at most a few thousand tokens; whatever is longer than this is not one."""

_MASK = "[key]"
_NO_ACCESS = {
    401: "refuses the key; check endpoint.key_file or endpoint.key_env",
    402: "asks for payment; top up the account and run the command again",
    403: "does not allow this; check the key's rights and the models' names",
}
_TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})
_NOT_IMPLEMENTED = 501
_SERVER_ERROR = 500
_CLIENT_ERROR = 400
_QUOTA_CODE = "insufficient_quota"  # OpenAI's 429 that no waiting cures


class ChatEndpoint:
    """Sends requests; knows no retries, no limits and no money."""

    def __init__(
        self, settings: EndpointSettings, key: SecretStr | None, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        """Connect to nothing yet. The key is sent as a bearer token; ``transport`` stands in for the network.

        Raises:
            SetupError: When the address cannot be one.
        """
        self._timeout_s = settings.timeout_s
        self._key = key
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        self._client = httpx2.AsyncClient(
            base_url=_checked_url(settings.base_url),
            headers=headers,
            timeout=httpx2.Timeout(settings.timeout_s, connect=min(CONNECT_TIMEOUT_S, settings.timeout_s)),
            limits=httpx2.Limits(max_connections=settings.max_concurrent_requests),
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        """Return the endpoint."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def post(self, payload: Mapping[str, object], idempotency_key: str) -> str:
        """Ask once.

        Args:
            payload: The body of a chat completion request.
            idempotency_key: The same for the same request, so that an endpoint which knows the header bills it once.

        Returns:
            The whole body of a successful answer, the key masked; it may still be anything.

        Raises:
            TransientError: When the same request may succeed later.
            RequestRefusedError: When it will not.
            EndpointUnusableError: When no request will.
        """
        with _translated_errors(self._timeout_s):
            async with (
                asyncio.timeout(self._timeout_s),
                self._client.stream(
                    "POST", "chat/completions", json=payload, headers={"Idempotency-Key": idempotency_key}
                ) as response,
            ):
                body = masked(await _read(response), self._key)
        if not response.is_success:
            _raise_for_status(response, body)
        return body


def read_key(settings: EndpointSettings, directory: Path, environment: Mapping[str, str]) -> SecretStr | None:
    """Read the API key from the file or the variable that the settings name; the file wins.

    Returns:
        The key without surrounding white space, or None when neither is named.

    Raises:
        SetupError: When what is named holds no usable key.
    """
    if settings.key_file:
        path = directory / settings.key_file
        try:
            key, source = path.read_text(encoding="ascii").strip(), str(path)
        except (OSError, UnicodeDecodeError) as error:
            msg = f"{path}: cannot be read as a key (endpoint.key_file): {type(error).__name__}"
            raise SetupError(msg) from None  # the cause of a decoding error quotes the content
    elif settings.key_env:
        key, source = environment.get(settings.key_env, "").strip(), f"${settings.key_env}"
    else:
        return None
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        msg = f"{source}: holds no key; want one word of printable ASCII characters"
        raise SetupError(msg)
    return SecretStr(key)


def masked(text: str, key: SecretStr | None) -> str:
    """Take the key out of a text that came from elsewhere, such as an endpoint's answer."""
    return text.replace(key.get_secret_value(), _MASK) if key else text


def sends_in_the_clear(base_url: str) -> bool:
    """Say whether the address is plain http to another machine, so that others on the network can read what is sent."""
    url = _checked_url(base_url)
    return url.scheme == "http" and url.host not in {"localhost", "127.0.0.1", "::1"}


def _checked_url(text: str) -> httpx2.URL:
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL as error:
        msg = f"endpoint.base_url: {text!r} is no address: {error}"
        raise SetupError(msg) from error
    if url.userinfo:
        msg = "endpoint.base_url: holds credentials, which would end up in logs; use endpoint.key_file"
        raise SetupError(msg)
    if url.scheme not in {"http", "https"} or not url.host:
        msg = f"endpoint.base_url: {text!r} is no address; want http://HOST/v1 or https://HOST/v1"
        raise SetupError(msg)
    return url


async def _read(response: httpx2.Response) -> str:
    content = bytearray()
    async for part in response.aiter_bytes():
        content += part
        if len(content) > MAX_BODY_BYTES:
            msg = f"the answer has more than {MAX_BODY_BYTES} bytes"
            raise TransientError(msg)
    return content.decode(errors="replace")


@contextmanager
def _translated_errors(timeout_s: float) -> Iterator[None]:
    """Sort the failures of the connection; everything the library can raise is one of these."""
    try:
        yield
    except (TimeoutError, httpx2.TimeoutException) as error:
        msg = f"no whole answer within {timeout_s:g} s"
        raise TransientError(msg) from error
    except (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, httpx2.TooManyRedirects) as error:
        msg = f"the endpoint cannot be spoken to: {type(error).__name__}; check endpoint.base_url"
        raise EndpointUnusableError(msg) from error
    except httpx2.HTTPError as error:
        msg = f"the connection failed: {type(error).__name__}"
        raise TransientError(msg) from error


def _raise_for_status(response: httpx2.Response, body: str) -> None:
    status = response.status_code
    if status in _NO_ACCESS:
        msg = f"the endpoint answers {status}: it {_NO_ACCESS[status]}"
        raise EndpointUnusableError(msg)
    text = f"the endpoint answers {status}{error_reason(body)}"
    if status < _CLIENT_ERROR:
        msg = f"{text}; it moved, so name its new place in endpoint.base_url"
        raise EndpointUnusableError(msg)
    if _QUOTA_CODE in body:
        msg = f"{text}; raise the quota and run the command again"
        raise EndpointUnusableError(msg)
    if status in _TRANSIENT_STATUSES or (status >= _SERVER_ERROR and status != _NOT_IMPLEMENTED):
        raise TransientError(text, retry_after_s(response.headers.get("Retry-After", "")))
    raise RequestRefusedError(text)
