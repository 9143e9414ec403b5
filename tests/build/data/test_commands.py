"""The command line as a whole."""

from pathlib import Path

import pytest
from data.__main__ import COMMANDS, main


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Examples begin as one would type them."""
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])

    shown = capsys.readouterr().out
    assert 0 == left.value.code
    assert f"examples:\n  python -m data {command}" in shown
    assert "--json" in shown


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with what it does."""
    status = main(["--help"])

    shown = capsys.readouterr().out
    assert 0 == status
    assert all(f"  {name} " in shown and summary in shown for name, (_, summary) in COMMANDS.items())


def test_no_command_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The help is shown all the same."""
    assert 2 == main([])
    assert "usage:" in capsys.readouterr().out


def test_an_unknown_command_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """It is named, and so are the known ones."""
    assert 2 == main(["agument"])
    assert "there is no command 'agument'" in capsys.readouterr().err


def test_bad_input_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a traceback."""
    status = main(["card", str(tmp_path)])

    assert 2 == status
    assert 1 == len(capsys.readouterr().err.splitlines())
