"""Tells when the policy files have changed: on the file system's word, and by looking now and then.

The word alone does not do: network folders give none, and it ends with the folder that it was asked for, be it deleted
or a link that now leads elsewhere. So each word is only a reason to look, and so is time.
"""

import asyncio
import stat
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path

from watchfiles import awatch

from archrouter.policy_files.directory import policy_files

SETTLE_S = 0.3
"""Quiet that ends a change: an editor, git or kubelet touches one file after the other within milliseconds."""

MAX_SETTLE_S = 5.0
"""A folder that never comes to rest is read all the same after so long."""

Look = tuple[object, ...]
"""What tells one state of the folder from another: names, and of each file identity, size and times."""


class PolicyWatch:
    """Watches one folder. What it compares with first is how the folder was when the watch was made."""

    def __init__(self, directory: Path, *, interval_s: float) -> None:
        """Look once.

        Args:
            directory: The folder of policy files; it may be away, and come and go.
            interval_s: Time between two looks that no word of the file system asked for, in seconds > 0.
        """
        self._directory = directory
        self._interval_s = interval_s
        self._seen = self._look()

    async def changes(self) -> AsyncIterator[None]:
        """Yield after each change, once it has come to rest, until cancelled."""
        while True:
            async with aclosing(self._signs()) as signs:
                async for _ in signs:
                    look = await asyncio.to_thread(self._look)
                    if look != self._seen:
                        self._seen = await self._settled(look)
                        yield

    async def _signs(self) -> AsyncGenerator[None, None]:
        """Yield when something may have changed; end when the folder is another one than at the beginning."""
        yield
        folder = file_identity(self._directory)
        words = awatch(
            self._directory,
            watch_filter=None,  # the link that kubelet swaps has a name like any hidden file
            recursive=False,
            debounce=200,
            rust_timeout=round(self._interval_s * 1000),
            yield_on_timeout=True,
        )
        try:
            async with aclosing(words):  # its thread ends with it
                async for _ in words:
                    yield
                    if file_identity(self._directory) != folder:
                        return
        except (OSError, RuntimeError):  # the folder is away, or the system watches no more folders
            await asyncio.sleep(self._interval_s)

    async def _settled(self, look: Look) -> Look:
        """Wait until the folder is as it was `SETTLE_S` before, so that no file is read while it is written."""
        for _ in range(round(MAX_SETTLE_S / SETTLE_S)):
            await asyncio.sleep(SETTLE_S)
            before, look = look, await asyncio.to_thread(self._look)
            if look == before:
                break
        return look

    def _look(self) -> Look:
        try:
            return tuple((path.name, file_identity(path)) for path in policy_files(self._directory))
        except OSError as error:
            return (error.errno,)


def file_identity(path: Path) -> tuple[int, ...]:
    """Tell a file, wherever links lead, from any other and from itself before a change; empty when there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # ValueError: it is no path
        return ()
    if stat.S_ISDIR(found.st_mode):
        return found.st_dev, found.st_ino
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
