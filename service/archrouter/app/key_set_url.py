"""The key set of an identity provider, fetched off the path of calls."""

import asyncio
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from urllib.parse import urlsplit

import structlog

from archrouter.http_calls import LOOPBACK, NoRedirect
from archrouter.observability.metrics import Metrics

FETCH_TIMEOUT_S = 5.0
MAX_BYTES = 1 << 20
MIN_INTERVAL_S = 10.0
"""Between two fetches, however many tokens name a key that is not there: anybody can make such tokens."""

_log = structlog.get_logger(__name__)


class KeySetUrl:
    """Fetches a key set, and hands it on when it can be used. For one event loop."""

    def __init__(
        self, url: str, use: Callable[[bytes], None], metrics: Metrics, *, min_interval_s: float = MIN_INTERVAL_S
    ) -> None:
        """Fetch `url`; `use` raises ValueError to refuse what came.

        Raises:
            ValueError: For a URL that is not https, or that holds a password, which logs would show.
        """
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
            msg = "auth.jwt_jwks is a URL without https; whoever is between could make every token pass"
            raise ValueError(msg)
        if parts.username is not None or parts.password is not None:
            msg = "auth.jwt_jwks is a URL with a user in it; key sets are public, so leave it out"
            raise ValueError(msg)
        self._url = url
        self._use = use
        self._metrics = metrics
        self._min_interval_s = min_interval_s
        self._asked_s = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """Fetch it for the first time.

        Raises:
            OSError: When there is no answer.
            ValueError: When the answer is no key set.
        """
        self._asked_s = time.monotonic()
        self._use(await asyncio.to_thread(_fetched, self._url))

    async def refresh(self) -> None:
        """Wait for a fetch, unless the last was a moment ago; whoever asks meanwhile waits for the same. Never raises.

        A caller that gives up does not end the fetch for the others.
        """
        if self._fetching is None:
            if time.monotonic() - self._asked_s < self._min_interval_s:
                return
            self._fetching = asyncio.create_task(self._fetch(), name="fetch the key set")
        await asyncio.shield(self._fetching)

    async def watch(self, interval_s: float) -> None:
        """Fetch it again and again, for ever."""
        while True:
            await asyncio.sleep(interval_s)
            await self.refresh()

    async def _fetch(self) -> None:
        try:
            await self.load()
        except (OSError, ValueError) as error:
            self._metrics.count_credential_reload("jwks", "failure")
            _log.error("credentials_rejected", source="jwks", reason=str(error))  # the keys of before stay
        else:
            self._metrics.count_credential_reload("jwks", "success")
            _log.debug("credentials_loaded", source="jwks")
        finally:
            self._fetching = None


def _fetched(url: str) -> bytes:
    opener = urllib.request.build_opener(NoRedirect)
    try:
        with opener.open(url, timeout=FETCH_TIMEOUT_S) as response:
            text: bytes = response.read(MAX_BYTES + 1)
    except (OSError, HTTPException, ValueError) as error:
        reason = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else type(error).__name__
        msg = f"auth.jwt_jwks: the key set cannot be fetched ({reason}); is the identity provider reachable from here?"
        raise OSError(msg) from None
    if len(text) > MAX_BYTES:
        msg = f"auth.jwt_jwks: the answer has more than {MAX_BYTES} bytes, so it is no key set"
        raise ValueError(msg)
    return text
