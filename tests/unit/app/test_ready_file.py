"""The file that tells a program around the service that it answers."""

import os
from pathlib import Path

from archrouter.app.records import write_ready_file

LINE = '{"listen": "127.0.0.1:50051"}\n'


def test_the_file_is_there_with_its_line_or_not_at_all(tmp_path: Path) -> None:
    """It takes its name when it is whole: who holds the file of an earlier run goes on reading that one."""
    file = tmp_path / "ready.json"
    file.write_text("earlier")
    with file.open() as held:
        write_ready_file(file, "127.0.0.1:50051")

        assert "earlier" == held.read()

    assert LINE == file.read_text()
    assert [file] == list(tmp_path.iterdir())


def test_a_pipe_is_written_as_it_stands() -> None:
    """So does a process tell its parent."""
    read, write = os.pipe()
    with os.fdopen(read) as reader:
        write_ready_file(Path(f"/dev/fd/{write}"), "127.0.0.1:50051")
        os.close(write)

        assert LINE == reader.read()
