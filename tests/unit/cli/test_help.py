"""What holds for every command."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from archrouter.cli import cli
from archrouter.cli.exits import EXIT_USAGE
from archrouter.config_sources import setting_keys


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_help_of_every_command_has_examples(name: str) -> None:
    """Every command explains itself and shows how it is called."""
    result = CliRunner().invoke(cli, [name, "--help"])

    assert 0 == result.exit_code
    assert "Examples:" in result.stdout
    assert f"archrouter {name}" in result.stdout.partition("Examples:")[2]


@pytest.mark.parametrize("name", ["eval", "compare"])
def test_command_of_a_missing_extra_names_the_extra(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Who installed the service alone is told how to get the command, with the exit code of a usage error."""
    monkeypatch.delitem(cli.commands, name)

    result = CliRunner().invoke(cli, [name, "anything"])

    assert EXIT_USAGE == result.exit_code
    assert "pip install 'archrouter[evaluation]'" in result.stderr


def test_configuration_reference_has_every_key(root: Path) -> None:
    """The generated reference misses no setting."""
    reference = (root / "docs" / "configuration.md").read_text(encoding="utf-8")

    assert [] == [key.key for key in setting_keys() if f"`{key.env}`" not in reference]


def test_command_reference_has_every_command(root: Path) -> None:
    """The generated reference misses no command."""
    reference = (root / "docs" / "cli.md").read_text(encoding="utf-8")

    assert [] == [name for name in cli.commands if f"## `archrouter {name}`" not in reference]


def test_commands_come_without_the_service_and_the_page() -> None:
    """Loading the service takes as long as all the rest; only the command that runs one waits for it."""
    program = "import sys, archrouter.cli; print([name for name in sys.modules if name in sys.argv[1:]])"
    arguments = [sys.executable, "-c", program, "archrouter.app", "archrouter.ui", "aiohttp"]

    assert "[]\n" == subprocess.run(arguments, capture_output=True, check=True, text=True).stdout  # ours
