"""Run every shell block of a Markdown file, in order, in one scratch copy of nothing: the repository itself.

A block is fenced with ```shell. A block that needs a running server is preceded by the comment
``<!-- with: COMMAND -->``: COMMAND is started before it, waited for by the service's log event "service_ready", and
stopped after it.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"(?:<!-- with: (?P<server>[^>]+?) -->\n)?```shell\n(?P<script>.*?)```", re.DOTALL)
READY_EVENT = '"event": "service_ready"'
READY_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Block:
    """One shell block.

    Attributes:
        script: Its lines.
        server: Command that must be running meanwhile; empty for none.
        line: 1-based line of its fence.
    """

    script: str
    server: str
    line: int


def blocks_of(text: str) -> list[Block]:
    """Find the shell blocks of a Markdown text, in order."""
    return [
        Block(match["script"], match["server"] or "", text.count("\n", 0, match.start("script")))
        for match in BLOCK.finditer(text)
    ]


def run_block(block: Block) -> int:
    """Run a block with its server, and return its exit code."""
    environment = {**os.environ, "PATH": f"{Path('.venv/bin').resolve()}{os.pathsep}{os.environ['PATH']}"}
    server = _start(block.server, environment) if block.server else None
    try:
        return subprocess.run(["bash", "-euo", "pipefail", "-c", block.script], env=environment, check=False).returncode
    finally:
        if server is not None:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(STOP_TIMEOUT_S)


def _start(command: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    log = Path(".venv/readme-server.log")
    with log.open("w") as output:
        server = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            stdout=output,
            stderr=output,
            text=True,
            env=environment,
            start_new_session=True,
        )
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while READY_EVENT not in log.read_text():
        if server.poll() is not None or time.monotonic() > deadline_s:
            sys.exit(f"{command!r} did not become ready:\n{log.read_text()}")
        time.sleep(0.2)
    return server


def main() -> int:
    """Run the blocks of the file named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--already-run", action="append", default=[], help="a line that need not run again")
    arguments = parser.parse_args()
    blocks = blocks_of(arguments.file.read_text())
    if not blocks:
        sys.exit(f"{arguments.file} has no shell block; has the fence changed?")
    failed = 0
    for block in blocks:
        lines = [line.partition("#")[0].strip() for line in block.script.splitlines()]
        if all(not line or line in arguments.already_run for line in lines):
            continue
        print(f"-- {arguments.file}:{block.line}\n{block.script}", flush=True)
        code = run_block(block)
        if code:
            print(f"-- {arguments.file}:{block.line} failed with exit code {code}", file=sys.stderr)
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
