"""The decision log in real processes: killed, out of room, and two at a time."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from archrouter.decision_log.reader import log_files, read_decisions
from archrouter.decision_log.record import DecisionRecord

MANY = 1_000_000


def start(root: Path, path: Path, first: int, count: int, *limits: int) -> "subprocess.Popen[str]":
    """Start a writer and wait until it writes."""
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.support.decision_writer", path, *map(str, (first, count, *limits))],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    assert writer.stdout is not None
    assert "ready\n" == writer.stdout.readline()
    return writer


def ids(path: Path) -> list[int]:
    """Read a log of which every line must be a record."""
    found = list(read_decisions(path))
    records = [one for one in found if isinstance(one, DecisionRecord)]
    assert len(found) == len(records), [one for one in found if not isinstance(one, DecisionRecord)]
    return [int(one.decision_id) for one in records]


def size_of(path: Path) -> int:
    """Sum up the files of a log, one of which may be in the middle of its rotation."""
    size = 0
    for file in log_files(path):
        with suppress(FileNotFoundError):
            size += file.stat().st_size
    return size


def test_a_process_that_is_killed_while_it_writes_leaves_whole_lines(root: Path, tmp_path: Path) -> None:
    """Six times SIGKILL in the middle, over rotations: each line parses, and none is missing between two."""
    path = tmp_path / "decisions.jsonl"
    for kill in range(6):
        size_before = size_of(path)
        with start(root, path, kill * MANY, MANY) as writer:
            while size_of(path) < size_before + 70_000 * (kill + 1):
                time.sleep(0.001)
            writer.kill()
    with start(root, path, 6 * MANY, 1) as writer:  # its opening repairs what the last one left
        assert 0 == writer.wait(60)

    found = ids(path)
    assert set(range(7)) == {number // MANY for number in found}
    assert len(log_files(path)) > 1
    for before, after in pairwise(found):
        assert after == before + 1 or after % MANY == 0


def test_a_process_without_room_loses_lines_whole_and_writes_again_when_there_is_some(
    root: Path, tmp_path: Path
) -> None:
    """The limit falls into a line, as the end of a disk does: it is taken back, those that follow are counted."""
    path = tmp_path / "decisions.jsonl"
    with start(root, path, 0, 400, 50_001) as writer:
        assert writer.stdout is not None
        counts = json.loads(writer.stdout.read())
        assert 0 == writer.wait(60)

    found = ids(path)
    assert {"written": len(found), "write_failed": 400 - len(found)} == counts
    written_before = next(n for n, (before, after) in enumerate(pairwise(found), start=1) if after != before + 1)
    assert list(range(written_before)) == found[:written_before]
    assert list(range(200, 400)) == found[written_before:]


def test_two_processes_never_write_into_one_file(root: Path, tmp_path: Path) -> None:
    """Each has a file of its own, and reading gives the decisions of both."""
    path = tmp_path / "decisions.jsonl"
    with start(root, path, 0, MANY) as first:
        with start(root, path, MANY, 300) as second:
            assert 0 == second.wait(60)
        first.terminate()

    assert list(range(MANY, MANY + 300)) == ids(tmp_path / "decisions-2.jsonl")
    found = ids(path)
    assert [*range(len(found) - 300), *range(MANY, MANY + 300)] == sorted(found)
