"""The journal: on disk before it is used, whole or not at all."""

import errno
import os
from pathlib import Path

import pytest
from data.drafting.errors import JournalWriteError, SetupError
from data.drafting.journal import Entry, Journal, read_journal
from data.drafting.settings import Role


def entry(number: int) -> Entry:
    """Make an entry whose body needs care: line separators, quotes, other scripts."""
    return Entry(f"sha256:{number}", Role.LABELLER, f"item-{number}", 1, "model", f'{{"a": "\u2028 ä 漢 {number}\n"}}')


def test_entries_are_found_again_after_reopening(tmp_path: Path) -> None:
    """Whatever the answer holds, it comes back as it was."""
    with Journal(tmp_path / "run" / "journal.jsonl") as journal:
        for number in range(3):
            journal.append(entry(number))

    with Journal(tmp_path / "run" / "journal.jsonl") as journal:
        assert [entry(number) for number in range(3)] == list(journal.entries)
        assert entry(1) == journal.get("sha256:1")
        assert journal.get("sha256:9") is None


def test_append_synchronises_before_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that is not yet on disk cannot be looked up, so nothing is built on it."""
    seen = []
    with Journal(tmp_path / "journal.jsonl") as journal:
        real = os.fsync

        def watch(descriptor: int) -> None:
            seen.append(journal.get("sha256:0"))
            real(descriptor)

        monkeypatch.setattr(os, "fsync", watch)
        journal.append(entry(0))

        assert [None] == seen
        assert entry(0) == journal.get("sha256:0")


def test_full_disk_leaves_the_journal_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that does not fit is taken back, so that the next run finds no half of it."""
    path = tmp_path / "journal.jsonl"
    real = os.write
    with Journal(path) as journal:
        journal.append(entry(0))
        before = path.read_bytes()

        def half(descriptor: int, content: bytes) -> int:
            if len(content) < 40:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(descriptor, content[: len(content) // 2])

        monkeypatch.setattr(os, "write", half)
        with pytest.raises(JournalWriteError, match="takes no further answer: No space left on device"):
            journal.append(entry(1))
        monkeypatch.undo()

        assert before == path.read_bytes()
        assert journal.get("sha256:1") is None
        journal.append(entry(2))

    assert (entry(0), entry(2)) == read_journal(path)


def test_unknown_role_is_damage(tmp_path: Path) -> None:
    """A journal of another program, or of another version, is not read halfway."""
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.append(entry(0))
        journal.append(entry(1))
    path.write_bytes(path.read_bytes().replace(b"labeller", b"somebody", 1))

    with pytest.raises(SetupError, match=r"journal.jsonl:1: is no entry"):
        read_journal(path)


def test_missing_journal_reads_as_empty(tmp_path: Path) -> None:
    """A plan can be made before the first run, and makes no file."""
    assert () == read_journal(tmp_path / "journal.jsonl")
    assert [] == list(tmp_path.iterdir())


def test_journal_that_failed_to_open_gives_its_lock_back(tmp_path: Path) -> None:
    """After damage was repaired the same process can open the file."""
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"scribble\nmore\n")
    with pytest.raises(SetupError):
        Journal(path)
    path.unlink()

    with Journal(path) as journal:
        assert [] == list(journal.entries)
