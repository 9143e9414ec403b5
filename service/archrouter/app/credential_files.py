"""Certificates, callers and key sets in files: looked at again and again, and exchanged whole or not at all."""

import asyncio
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from archrouter.observability.metrics import Metrics
from archrouter.policy_files.watch import file_identity

LOOK_INTERVAL_S = 1.0
"""A change counts once two looks in a row see it alike: whoever writes two files is given the time to."""

PRIVATE_SETTINGS = frozenset({"server.tls_private_key_file", "auth.callers_file", "routing.ticket_key_file"})
"""Files that nobody but the service has to read."""

_log = structlog.get_logger(__name__)

Fingerprint = tuple[tuple[int, ...], ...]


class CredentialFiles:
    """Files that are good only together, e.g. a certificate and its key.

    A file's identity is that of what its path leads to now, so the exchange of a symbolic link, which is how Kubernetes
    updates a mounted Secret, is a change like any other.
    """

    def __init__(
        self, source: str, files: Mapping[str, str], use: Callable[[Mapping[str, bytes]], None], metrics: Metrics
    ) -> None:
        """Watch `files`, paths by setting.

        Args:
            source: What they are, for log and metrics; one of `metrics.CREDENTIAL_SOURCES`.
            files: Paths by the setting that names them.
            use: Takes their content by setting; raises ValueError, with a text that quotes no secret, to refuse it.
            metrics: Counts the loads after the first.
        """
        self._source = source
        self._files = {setting: Path(path) for setting, path in files.items()}
        self._use = use
        self._metrics = metrics
        self._used: Fingerprint | None = None
        self._seen: Fingerprint | None = None

    def load(self) -> None:
        """Read them for the first time.

        Raises:
            OSError: When one cannot be read. The text names the setting only: what stands there may be a secret.
            ValueError: When they cannot be used.
        """
        self._used = self._seen = self._fingerprint()
        self._use({setting: self._read(setting) for setting in self._files})

    def look(self) -> None:
        """Read them again where they have changed and are at rest; what cannot be used changes nothing."""
        now = self._fingerprint()
        before, self._seen = self._seen, now
        if now == self._used or now != before:
            return
        self._used = now  # whatever comes of it: the same files are not reported again
        try:
            self._use({setting: self._read(setting) for setting in self._files})
        except (OSError, ValueError) as error:
            self._metrics.count_credential_reload(self._source, "failure")
            _log.error("credentials_rejected", source=self._source, reason=str(error))  # those of before stay
        else:
            self._metrics.count_credential_reload(self._source, "success")
            _log.info("credentials_loaded", source=self._source)

    def _fingerprint(self) -> Fingerprint:
        return tuple(file_identity(path) for path in self._files.values())

    def _read(self, setting: str) -> bytes:
        try:
            with self._files[setting].open("rb") as file:
                if os.fstat(file.fileno()).st_mode & stat.S_IROTH and setting in PRIVATE_SETTINGS:
                    _log.warning("credentials_readable_by_others", setting=setting, remedy="chmod o-r")
                return file.read()
        except (OSError, ValueError) as error:
            raise _unreadable(setting, error) from None


async def watch_credentials(groups: tuple[CredentialFiles, ...]) -> None:
    """Look at all files, for ever; off the event loop, since a network's file system may hang."""
    while True:
        await asyncio.sleep(LOOK_INTERVAL_S)
        for group in groups:
            await asyncio.to_thread(group.look)


def _unreadable(setting: str, error: Exception) -> OSError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is no path"
    return OSError(f"{setting} names a file that cannot be read ({reason}); correct the path, or the file's rights")
