"""Bundles are made from a checkpoint as it is published, by the command, with a real probe of the weights."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.support.model_cards import LICENSE_NAME, recast_card

from archrouter.bundles.loader import PromptBundle
from archrouter.cli import cli


@pytest.fixture
def published(checkpoint: Path, tmp_path: Path) -> Path:
    """Return a copy of the tiny checkpoint, for another card."""
    copy = tmp_path / "checkpoint"
    shutil.copytree(checkpoint, copy)
    return copy


def build(checkpoint: Path, output: Path, *options: str) -> tuple[int, str]:
    """Run `archrouter bundle build` on the conversion that lies in a checkpoint."""
    arguments = ["bundle", "build", "--checkpoint", str(checkpoint), "--output", str(output)]
    result = CliRunner().invoke(cli, [*arguments, "--converted", str(checkpoint / "onnx"), *options])
    return result.exit_code, result.output


def inspect(bundle: Path) -> dict[str, object]:
    """Run `archrouter bundle inspect`."""
    result = CliRunner().invoke(cli, ["bundle", "inspect", "--json", str(bundle)])
    record: dict[str, object] = json.loads(result.stdout)
    return record


@pytest.mark.parametrize(("fence", "quote"), [("````", '"""'), ("~~~", "'''")])
def test_a_bundle_is_built_from_a_card_of_the_published_shape(
    published: Path, bundle: PromptBundle, tmp_path: Path, fence: str, quote: str
) -> None:
    """No template has to be given, and the prompt is the one of the plain card."""
    (published / "README.md").write_text(recast_card(published, fence=fence, quote=quote), "utf-8")

    code, output = build(published, tmp_path / "bundle")

    assert 0 == code, output
    record = inspect(tmp_path / "bundle")
    assert bundle.profile.prompt_template_version == record["prompt_template_version"]
    assert LICENSE_NAME == record["license"]


def test_inspect_shows_people_the_prompts_version_and_the_licence(bundle: PromptBundle) -> None:
    """Which prompt decides, and what the weights may be used for, each on a line."""
    result = CliRunner().invoke(cli, ["bundle", "inspect", str(bundle.directory)])

    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert bundle.profile.prompt_template_version == lines["prompt_template_version"]
    assert bundle.manifest.checkpoint.license == lines["license"]


def test_the_gateways_dialect_is_refused_without_its_prompt(published: Path, tmp_path: Path) -> None:
    """The card's prompt is for the card's dialect: the message names the option that is missing."""
    code, output = build(published, tmp_path / "bundle", "--dialect", "gateway")

    assert 1 == code
    assert "--prompt-template" in output
    assert not (tmp_path / "bundle").exists()


def test_a_bundle_of_the_gateways_dialect_is_built_from_its_prompt(published: Path, tmp_path: Path) -> None:
    """With a template either dialect is possible."""
    template = ["--prompt-template", str(published / "prompt_template.txt"), "--force"]

    code, output = build(published, tmp_path / "bundle", "--dialect", "gateway", *template)

    assert 0 == code, output
    assert "gateway" == inspect(tmp_path / "bundle")["dialect"]


def test_a_family_with_a_dialect_of_its_own_needs_its_prompt(root: Path, tmp_path: Path) -> None:
    """Without a dialect given it is the family's, and no card has a prompt for that of Qwen3."""
    code, output = build(root / "tests" / "data" / "tiny_successor", tmp_path / "bundle")

    assert 1 == code
    assert "for the dialect plano with --prompt-template" in " ".join(output.split())
