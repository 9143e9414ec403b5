"""A build on paper equals the golden plan, and costs nothing."""

import json
from pathlib import Path

import pytest
from engine import build

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "engine_plan"
COMMAND = ["--checkpoint", "tests/data/tiny_checkpoint", "--plan"]
CASES = {
    "bf16.txt": [],
    "fp8.txt": ["--precision", "fp8", "--prompt-records", "data/train", "--records", "data/calibration"],
    "hub.txt": ["--checkpoint", "owner/name", "--revision", "0" * 40, "--toolkit", "1.0.0", "--workspace", "made"],
}


@pytest.fixture(autouse=True)
def _in_the_repository(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in the plans are relative to the repository's root."""
    monkeypatch.chdir(root)


@pytest.mark.parametrize("name", CASES)
def test_the_plan_equals_the_golden_one(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command, file and size; to accept a change, write the printed plan over the golden file."""
    code = build.main([*COMMAND, *CASES[name]])

    assert 0 == code
    assert (GOLDEN / name).read_text("utf-8") == capsys.readouterr().out


def test_planning_writes_nothing(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither the workspace nor anything else appears."""
    workspace = tmp_path / "workspace"

    build.main([*COMMAND, "--workspace", str(workspace)])

    assert capsys.readouterr().out.endswith("Nothing was run.\n")
    assert [] == list(tmp_path.iterdir())
    assert (root / "model_repository").is_dir()


def test_a_plan_for_machines_has_the_same_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """One JSON document on standard output."""
    build.main([*COMMAND, "--json"])

    document = json.loads(capsys.readouterr().out)
    golden = (GOLDEN / "bf16.txt").read_text("utf-8")
    assert ["fetch", "probe", "convert", "compile", "assemble", "verify"] == [s["name"] for s in document["steps"]]
    for step in document["steps"]:
        assert all(f"$ {command}\n" in golden for command in step["commands"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--checkpoint", "nowhere/at-all"], "is no folder here; as a hub id it needs --revision"),
        ([*COMMAND, "--precision", "fp8"], "give --prompt-records"),
        ([*COMMAND, "--toolkit", "1.3.0"], "there is no toolkit '1.3.0'"),
        ([*COMMAND, "--settings", "nowhere.toml"], "nowhere.toml cannot be read"),
    ],
)
def test_bad_input_is_refused_before_anything_is_planned(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and one line with the remedy."""
    assert 2 == build.main(words)
    assert message in capsys.readouterr().err


def test_another_folder_than_the_repository_is_refused(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The checked-in model config is found from the root."""
    monkeypatch.chdir(tmp_path)

    assert 2 == build.main(["--checkpoint", str(checkpoint), "--plan"])
    assert "run this in the root of the repository" in capsys.readouterr().err
