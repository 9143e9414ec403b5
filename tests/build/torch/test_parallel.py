"""Processes that train together end together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

WORK = """
import os, signal, sys, time
from pathlib import Path
import torch
from compact_router.parallel import Workers, run

def work(workers: Workers) -> None:
    Path(sys.argv[1], f"{workers.rank}.pid").write_text(str(os.getpid()))
    if workers.is_first:
        time.sleep(600)
    workers.average([torch.ones(1)])

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run(2, Path(sys.argv[1]), work)
"""
"""The first process is busy, the second waits for it. What a shell runs in the background ignores SIGINT, and so do the
processes that it starts."""

LIMIT_S = 60.0


def test_a_process_that_waits_for_others_ends_with_the_program(tmp_path: Path) -> None:
    """Killed without a chance to tell them, the program leaves nothing behind that holds gigabytes."""
    script = tmp_path / "work.py"
    script.write_text(WORK)
    program = subprocess.Popen([sys.executable, str(script), str(tmp_path)], env={**os.environ, "PYTHONPATH": "build"})
    pids = [_pid(tmp_path / f"{rank}.pid") for rank in (0, 1)]

    program.send_signal(signal.SIGKILL)
    program.wait()

    _until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def _pid(file: Path) -> int:
    _until(lambda: file.exists() and bool(file.read_text()))
    return int(file.read_text())


def _until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
