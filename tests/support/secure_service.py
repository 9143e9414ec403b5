"""The service as a process of its own, with everything it writes in a folder."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

READY_S = 60.0
LOGGED_S = 30.0
SERVE = ("-m", "archrouter")


@dataclass(frozen=True, slots=True)
class SecureService:
    """A running process.

    Attributes:
        port: Of its gRPC.
        process: To be signalled.
        output: Folder of its standard output and standard error.
    """

    port: int
    process: asyncio.subprocess.Process
    output: Path

    def events(self, event: str) -> list[dict[str, object]]:
        """Read the log lines of an event, but for one that is being written."""
        lines = (self.output / "stderr").read_text().splitlines(keepends=True)
        records = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]
        return [record for record in records if record["event"] == event]

    async def logged(self, event: str, count: int = 1) -> None:
        """Wait until an event has been logged so many times."""
        async with asyncio.timeout(LOGGED_S):
            while len(self.events(event)) < count:
                await asyncio.sleep(0.05)


@asynccontextmanager
async def secure_service(
    folder: Path, *flags: str, program: Sequence[str] = SERVE, policies: Path
) -> AsyncIterator[SecureService]:
    """Serve until the end of the block, ready when given; the output stays in `folder`."""
    ready = folder / "ready.json"
    command = (
        *(sys.executable, *program, "serve", "--server-listen", "127.0.0.1:0", "--ready-file", str(ready)),
        *("--policies", str(policies), "--policies-default", "llm-gateway", "--logging-format", "json", *flags),
    )
    with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(*command, stdout=stdout, stderr=stderr)
    try:
        async with asyncio.timeout(READY_S):
            while not ready.exists() and process.returncode is None:
                await asyncio.sleep(0.05)
        assert process.returncode is None, (folder / "stderr").read_text()
        yield SecureService(int(json.loads(ready.read_text())["listen"].rpartition(":")[2]), process, folder)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
