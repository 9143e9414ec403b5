"""Lines that are whole or not there, in files that are one process's own."""

import os
import stat
from pathlib import Path

import pytest

from archrouter.decision_log import files
from archrouter.decision_log.files import LineFile, load_salt
from archrouter.decision_log.reader import UnreadableLine, log_files, read_decisions


def opened(path: Path, *, max_bytes: int = 1 << 20, kept_files: int = 2) -> LineFile:
    """Open a file of lines."""
    return LineFile(path, max_bytes=max_bytes, kept_files=kept_files)


def test_only_the_owner_reads_what_is_written(tmp_path: Path) -> None:
    """Also where somebody had widened the permissions of an older file."""
    (tmp_path / "d.jsonl").write_text("")
    (tmp_path / "d.jsonl").chmod(0o644)
    file = opened(tmp_path / "d.jsonl", max_bytes=1)
    file.write(b"a\n")
    file.write(b"b\n")
    load_salt(tmp_path / "salt")

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    file.close()
    assert {"d.jsonl": 0o600, "d.jsonl.1": 0o600, ".d.jsonl.lock": 0o600, "salt": 0o600} == modes


def test_a_file_is_rotated_before_it_grows_too_large_and_the_oldest_goes(tmp_path: Path) -> None:
    """No line is cut in two, and no more files are kept than were asked for."""
    file = opened(tmp_path / "d.jsonl", max_bytes=10)
    for number in range(1, 9):
        file.write(f"line{number}\n".encode() * 1)
    file.close()

    assert ["line6\n", "line7\n", "line8\n"] == [path.read_text() for path in log_files(tmp_path / "d.jsonl")]


def test_a_line_larger_than_a_file_is_written_all_the_same(tmp_path: Path) -> None:
    """It has a file of its own."""
    file = opened(tmp_path / "d.jsonl", max_bytes=10)
    for line in (b"a\n", b"b" * 20 + b"\n", b"c\n"):
        file.write(line)
    file.close()

    assert [2, 21, 2] == [path.stat().st_size for path in log_files(tmp_path / "d.jsonl")]


@pytest.mark.parametrize("whole", [b"", b"one\n", b"one\n" + b"x" * 200_000 + b"\n"])
@pytest.mark.parametrize("torn", [b"t", b"x" * 200_000])
def test_a_torn_last_line_is_cut_off_when_the_file_is_opened(whole: bytes, torn: bytes, tmp_path: Path) -> None:
    """However long it is; what was whole stays."""
    (tmp_path / "d.jsonl").write_bytes(whole + torn)

    file = opened(tmp_path / "d.jsonl")
    file.write(b"next\n")
    file.close()

    assert whole + b"next\n" == (tmp_path / "d.jsonl").read_bytes()
    assert len(torn) == file.repaired_bytes


def test_two_writers_of_one_path_have_a_file_each(tmp_path: Path) -> None:
    """The second is numbered; the number is free again when its writer has gone."""
    first, second = opened(tmp_path / "d.jsonl"), opened(tmp_path / "d.jsonl")
    second.close()
    third = opened(tmp_path / "d.jsonl")
    for number, file in enumerate((first, third)):
        file.write(f"{number}\n".encode())
        file.close()

    assert ["d.jsonl", "d-2.jsonl", "d-2.jsonl"] == [file.path.name for file in (first, second, third)]
    assert ["0\n", "1\n"] == [path.read_text() for path in log_files(tmp_path / "d.jsonl")]


@pytest.mark.parametrize("name", ["moved", ""])
def test_a_file_that_somebody_moved_or_removed_is_made_anew(name: str, tmp_path: Path) -> None:
    """Nothing is written where nobody finds it, e.g. after logrotate or a clean-up."""
    path = tmp_path / "d.jsonl"
    file = opened(path)
    file.write(b"before\n")
    if name:
        path.rename(tmp_path / name)
    else:
        path.unlink()

    file.write(b"after\n")
    file.close()

    assert "after\n" == path.read_text()


def test_a_short_write_leaves_nothing_of_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with room for half a line takes none of it, and the next line follows the last whole one."""
    file = opened(tmp_path / "d.jsonl")
    file.write(b"before\n")
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, line: real_write(descriptor, line[:5]))

    with pytest.raises(OSError, match="5 of 20 bytes were written"):
        file.write(b"x" * 19 + b"\n")
    monkeypatch.undo()
    file.write(b"after\n")
    file.close()

    assert "before\nafter\n" == (tmp_path / "d.jsonl").read_text()


def test_a_line_that_cannot_even_be_taken_back_is_cut_off_at_the_next_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is opened anew, which repairs it."""

    def fails(*_arguments: object) -> None:
        message = "no truncate either"
        raise OSError(message)

    file = opened(tmp_path / "d.jsonl")
    file.write(b"before\n")
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, line: real_write(descriptor, line[:5]))
    monkeypatch.setattr(os, "ftruncate", fails)
    with pytest.raises(OSError, match="5 of 20"):
        file.write(b"x" * 19 + b"\n")
    monkeypatch.undo()

    file.write(b"after\n")
    file.close()

    assert ("before\nafter\n", 5) == ((tmp_path / "d.jsonl").read_text(), file.repaired_bytes)


def test_a_salt_is_made_once_and_kept(tmp_path: Path) -> None:
    """Two services that share the file hash alike."""
    first = load_salt(tmp_path / "salt")

    assert (first, files.SALT_BYTES) == (load_salt(tmp_path / "salt"), len(first))


def test_a_short_salt_is_refused(tmp_path: Path) -> None:
    """A key that can be tried out hides nothing."""
    (tmp_path / "salt").write_bytes(b"secret")

    with pytest.raises(ValueError, match=r"6 bytes .*decision_log\.salt_file"):
        load_salt(tmp_path / "salt")


def test_reading_says_which_lines_are_no_records(tmp_path: Path) -> None:
    """Nothing is passed over in silence: each line is a record or a reason, which tells nothing of its content."""
    path = tmp_path / "d.jsonl"
    path.write_bytes(b'{"version": 2}\nsecret words\n{"version": 1')

    found = list(read_decisions(path))

    assert [1, 2, 3] == [one.line for one in found if isinstance(one, UnreadableLine)]
    reasons = [one.reason for one in found if isinstance(one, UnreadableLine)]
    assert ["version", "the line", "has no end"] == [reason.split(":")[0].split(";")[0] for reason in reasons]
    assert "secret" not in str(reasons)


def test_a_log_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """A wrong path must not look like a log without decisions."""
    with pytest.raises(FileNotFoundError, match="no decision log at"):
        list(read_decisions(tmp_path / "d.jsonl"))
