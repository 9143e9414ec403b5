"""Finding and reading the files of a policy directory, whatever they hold."""

import os
from pathlib import Path

import pytest

from archrouter.domain.findings import Finding, Severity
from archrouter.policy_files.directory import display_name, policy_files, suite_files
from archrouter.strict_yaml.nodes import MAX_DOCUMENT_BYTES, read_text


@pytest.fixture(name="directory")
def _directory(tmp_path: Path) -> Path:
    for name in ("b.yaml", "a.yml", "a_test.yaml", "b_test.yml", ".hidden.yaml", ".yaml", "notes.txt", "c.YAML.bak"):
        (tmp_path / name).write_text("", encoding="utf-8")
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "deep.yaml").write_text("", encoding="utf-8")
    return tmp_path


def test_policy_files_are_the_yaml_files_without_suites_and_hidden_ones(directory: Path) -> None:
    """Policy files are found under both endings, in the order of their names, and not in folders below."""
    assert ["a.yml", "b.yaml"] == [path.name for path in policy_files(directory)]


def test_suite_files_are_the_yaml_files_that_end_in_test(directory: Path) -> None:
    """Suites are found under both endings, in the order of their names."""
    assert ["a_test.yaml", "b_test.yml"] == [path.name for path in suite_files(directory)]


def test_files_of_missing_directory_raise(tmp_path: Path) -> None:
    """A directory that cannot be listed is the caller's business, not an empty one."""
    with pytest.raises(FileNotFoundError):
        policy_files(tmp_path / "missing")


def test_text_of_utf8_file_is_returned(tmp_path: Path) -> None:
    """A file is decoded as UTF-8, line ends included."""
    path = tmp_path / "a.yaml"
    path.write_bytes("grüß\r\nsmørrebrød\n".encode())

    assert "grüß\r\nsmørrebrød\n" == read_text(path)


def test_text_of_other_encoding_is_refused_where_it_begins(tmp_path: Path) -> None:
    """The first byte that is not UTF-8 is found by line and column, counted in characters."""
    path = tmp_path / "a.yaml"
    path.write_bytes("# grün\ntitle: grüner ".encode() + b"M\xe4rz\n")

    message = "the byte 0xE4 is not UTF-8; save the file as UTF-8"
    assert Finding(Severity.ERROR, "", message, 2, 16) == read_text(path)


def test_text_of_huge_file_is_refused_without_reading_it_all(tmp_path: Path) -> None:
    """A file over the limit is refused, however much larger it is."""
    path = tmp_path / "a.yaml"
    with path.open("wb") as file:
        file.truncate(2**33)

    message = f"has more than {MAX_DOCUMENT_BYTES} bytes; split it"
    assert Finding(Severity.ERROR, "", message) == read_text(path)


def test_text_of_missing_file_is_refused(tmp_path: Path) -> None:
    """A file that is gone, such as a dangling link, gives a finding that says so."""
    path = tmp_path / "a.yaml"
    path.symlink_to(tmp_path / "gone.yaml")

    message = "cannot be read: No such file or directory; check that it exists and its permissions"
    assert Finding(Severity.ERROR, "", message) == read_text(path)


def test_text_of_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    """Only regular files are opened: a named pipe would block the reader for ever."""
    path = tmp_path / "a.yaml"
    os.mkfifo(path)

    assert Finding(Severity.ERROR, "", "is not a regular file; remove it or rename it") == read_text(path)


def test_display_name_leaves_out_directories_and_replaces_what_is_not_utf8() -> None:
    """A name can always be logged and sent, and tells nothing about the machine's folders."""
    assert "a\ufffd.yaml" == display_name(Path("somewhere") / os.fsdecode(b"a\xff.yaml"))


def test_display_name_of_the_working_directory_is_a_dot() -> None:
    """A path without a name is still called something."""
    assert "." == display_name(Path())
