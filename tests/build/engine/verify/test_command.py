"""The command line of the verification, up to where it needs a server, and its golden conversations."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from engine.verify.__main__ import main
from engine.verify.questions import GOLDEN, digest_of, questions_of, split_by_fit
from tests.support.engine_bundles import write_bundle

from archrouter.bundles.loader import load_bundle
from archrouter.evaluation.dataset import read_dataset


@pytest.fixture
def bundle_directory(checkpoint: Path, tmp_path: Path) -> Path:
    """Write a bundle of the tiny checkpoint without its model."""
    return write_bundle(tmp_path / "bundle", checkpoint, max_prompt_token_count=1023)


@pytest.fixture
def arguments(bundle_directory: Path, checkpoint: Path) -> list[str]:
    """Give a right command line."""
    return ["--endpoint", "127.0.0.1:1", "--bundle", str(bundle_directory), "--checkpoint", str(checkpoint)]


def test_the_golden_conversations_are_as_broad_as_promised() -> None:
    """Shared prefixes, other scripts, 1 to 12 turns and more, long texts; every one valid."""
    dataset = read_dataset(GOLDEN)
    sets = dataset.policy_sets
    user_turns = {sum(m.role.value == "user" for m in c.messages) for c in dataset.conversations}

    assert {1, 2, 3, 12} <= user_turns
    assert 1 == min(len(one.routes) for one in sets.values())
    assert max(len(one.routes) for one in sets.values()) >= 30
    assert any(all(route.id.startswith("code_") for route in one.routes) for one in sets.values())
    assert any(not route.id.isascii() for one in sets.values() for route in one.routes)
    assert any(route.covers_domain for one in sets.values() for route in one.routes)
    assert max(sum(len(m.content) for m in c.messages) for c in dataset.conversations) > 8000


def test_a_change_of_a_golden_conversation_changes_the_digest_of_all(tmp_path: Path) -> None:
    """Reports over different questions cannot be mistaken for each other; so can labels."""
    shutil.copytree(GOLDEN, tmp_path / "golden")
    file = tmp_path / "golden" / "golden_v1.jsonl"
    file.write_text(file.read_text().replace('"route": "plant_care"', '"route": "find_recipe"'))

    assert digest_of(questions_of(read_dataset(GOLDEN))) != digest_of(questions_of(read_dataset(tmp_path / "golden")))


def test_policies_a_model_cannot_take_are_set_aside(bundle_directory: Path) -> None:
    """Thirty routes exceed the toy's 1,023 tokens; nothing else does."""
    kept, left_out = split_by_fit(questions_of(read_dataset(GOLDEN)), load_bundle(bundle_directory))

    assert {"smart_home"} == {question.source.policy_set for question in left_out}
    assert 65 == len(kept)


def test_without_torch_it_could_not_run(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The remedy is a make target."""
    monkeypatch.setitem(sys.modules, "engine.verify.oracle", None)

    assert 3 == main(arguments)
    assert "make .venv-build/.ready-build" in capsys.readouterr().err


def test_one_place_is_named_and_only_one(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """An endpoint, or a Triton of the program's own."""
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--embedded"])

    assert 2 == ended.value.code
    assert "--embedded: not allowed with argument --endpoint" in capsys.readouterr().err


def no_policies(arguments: list[str], folder: Path) -> None:
    """Name a folder of conversations that is empty."""
    arguments += ["--golden", str(folder)]


def too_many_routes(arguments: list[str], folder: Path) -> None:
    """Keep only conversations whose policies the toy cannot take."""
    shutil.copytree(GOLDEN / "policies", folder / "policies")
    lines = (GOLDEN / "golden_v1.jsonl").read_text().splitlines()
    kept = [line for line in lines if json.loads(line)["policy_set"] == "smart_home"]
    (folder / "golden_v1.jsonl").write_text("\n".join(kept))
    arguments += ["--golden", str(folder)]


def no_bundle(arguments: list[str], folder: Path) -> None:
    """Name a folder that is no bundle."""
    arguments[arguments.index("--bundle") + 1] = str(folder)


def no_checkpoint(arguments: list[str], folder: Path) -> None:
    """Name a folder that is no checkpoint."""
    arguments[arguments.index("--checkpoint") + 1] = str(folder)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (no_policies, "no *.jsonl file"),
        (too_many_routes, "no policy set fits"),
        (no_bundle, "is no bundle"),
        (no_checkpoint, "config.json cannot be read"),
    ],
)
def test_wrong_files_are_told_from_an_endpoint_that_fails(
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[list[str], Path], None],
    told: str,
) -> None:
    """Status 2, and what is wrong with which file."""
    folder = tmp_path / "folder"
    folder.mkdir()
    spoil(arguments, folder)

    assert 2 == main(arguments)
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--min-route-agreement", "1.5"), ("--call-timeout-s", "0"), ("--overload-calls", "1"), ("--overload-calls", "x")],
)
def test_a_value_out_of_range_is_refused_with_its_option(
    arguments: list[str], capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    """Status 2 before anything is read."""
    with pytest.raises(SystemExit) as ended:
        main([*arguments, option, value])

    assert 2 == ended.value.code
    assert option in capsys.readouterr().err


def test_help_has_examples_and_the_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    """The help needs neither torch nor a server."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])

    text = capsys.readouterr().out
    assert 0 == ended.value.code
    assert "python -m engine.verify --endpoint" in text
    assert "1 a threshold missed" in text
