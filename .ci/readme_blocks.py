"""Run every shell block of a Markdown file, in order, in one scratch copy of nothing: the repository itself.

A block is fenced with ```shell. A block that needs a running server is preceded by the comment
``<!-- with: COMMAND -->``: COMMAND is started before it, waited for by the service's log event "service_ready", and
stopped after it. Where ``<!-- prints -->`` and a ```text block follow, each line of that block must be in what the
commands printed; runs of spaces count as one, and percentages need not be the same.
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

BLOCK = re.compile(
    r"(?:<!-- with: (?P<server>[^>]+?) -->\n)?```shell\n(?P<script>.*?)```"
    r"(?:\n+<!-- prints -->\n```text\n(?P<printed>.*?)```)?",
    re.DOTALL,
)
READY_EVENT = '"event": "service_ready"'
READY_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Block:
    """One shell block.

    Attributes:
        script: Its lines.
        server: Command that must be running meanwhile; empty for none.
        printed: Lines that must be in its output; empty for any output.
        line: 1-based line of its fence.
    """

    script: str
    server: str
    printed: str
    line: int


def blocks_of(text: str) -> list[Block]:
    """Find the shell blocks of a Markdown text, in order."""
    return [
        Block(
            match["script"], match["server"] or "", match["printed"] or "", text.count("\n", 0, match.start("script"))
        )
        for match in BLOCK.finditer(text)
    ]


def run_block(block: Block) -> int:
    """Run a block with its server.

    Returns:
        Its exit code, or 1 when it succeeded and did not print what it should.
    """
    environment = {**os.environ, "PATH": f"{Path('.venv/bin').resolve()}{os.pathsep}{os.environ['PATH']}"}
    server = _start(block.server, environment) if block.server else None
    try:
        command = ["bash", "-euo", "pipefail", "-c", block.script]
        if not block.printed:
            return subprocess.run(command, env=environment, check=False).returncode
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        return done.returncode or int(not _printed_all(block.printed, done.stdout))
    finally:
        if server is not None:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(STOP_TIMEOUT_S)


def _printed_all(expected: str, output: str) -> bool:
    print(output, end="", flush=True)
    lines = [_comparable(line) for line in output.splitlines()]
    missing = [one for one in expected.splitlines() if not any(_comparable(one) in line for line in lines)]
    for one in missing:
        print(f"-- not printed: {one}", file=sys.stderr)
    return not missing


def _comparable(line: str) -> str:
    """Leave out what differs between machines: how columns are padded, and the last digits of a probability."""
    return re.sub(r"\d+\.\d %", "… %", " ".join(line.split()))


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
