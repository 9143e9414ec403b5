"""What holds for every command, the settings file and the manifest's schema."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from engine import __main__ as program
from engine import schema
from engine.program import BadInputError
from engine.settings import DEFAULT_FILE, read_settings


@pytest.mark.parametrize("command", sorted(program.COMMANDS))
def test_help_of_every_command_has_examples_and_exit_codes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command explains itself."""
    with pytest.raises(SystemExit) as ending:
        program.main([command, "--help"])

    text = capsys.readouterr().out
    assert 0 == ending.value.code
    assert f"examples:\n  python -m engine {command}" in text
    assert "exit codes: 0 done, 1 failed, 2 bad input, 3 this machine lacks" in text


def test_an_unknown_command_is_answered_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and the list."""
    assert 2 == program.main(["bake"])
    assert "there is no command 'bake'" in capsys.readouterr().err
    assert 2 == program.main([])
    assert 0 == program.main(["--help"])


def test_the_package_runs_as_a_program(root: Path) -> None:
    """With the folder build on the path, as every document says."""
    result = subprocess.run(
        [sys.executable, "-m", "engine", "schema", "--check"],
        env={**os.environ, "PYTHONPATH": str(root / "build")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "") == (result.returncode, result.stderr)


def test_the_committed_schema_is_that_of_the_manifest(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It changes with the model that reads manifests, or this fails."""
    monkeypatch.setattr(schema, "SCHEMA_FILE", tmp_path / "manifest.schema.json")

    assert 0 == schema.main([])
    assert (tmp_path / "manifest.schema.json").read_text() == (root / "build" / "manifest.schema.json").read_text()


def test_a_stale_schema_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check fails with the command that mends it."""
    monkeypatch.setattr(schema, "SCHEMA_FILE", tmp_path / "manifest.schema.json")

    assert 1 == schema.main(["--check"])
    assert "run: python -m engine schema" in capsys.readouterr().err
    assert 0 == schema.main([])
    assert 0 == schema.main(["--check"])
    assert "object" == json.loads((tmp_path / "manifest.schema.json").read_text())["type"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("max_batch_size = 64", "max_batch_size = 0"), "engine.max_batch_size: Input should be greater"),
        (("tokens_per_block = 32", "tokens_per_block = 64"), "engine.tokens_per_block"),
        (("[probe]", "[probes]"), "probe: Field required; probes: Extra inputs"),
        (("[probe]", "[probe"), "cannot be read"),
        (('digest = ""', 'digest = "latest"'), "digest: String should match"),
        (("int4_awq_prompts = 32", "int4_awq_prompts = 64"), "int4_awq_prompts: Input should be less"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    """By its place in the file."""
    path = tmp_path / "pipeline.toml"
    path.write_text(DEFAULT_FILE.read_text("utf-8").replace(*change), "utf-8")

    with pytest.raises(BadInputError, match=message):
        read_settings(path)


def test_an_unknown_toolkit_is_answered_with_those_there_are() -> None:
    """Both pins are named."""
    with pytest.raises(BadInputError, match=r"no toolkit '1\.3\.0'; the settings have 1\.2\.1, 1\.0\.0"):
        read_settings(DEFAULT_FILE).toolkit("1.3.0")
