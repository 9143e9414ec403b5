"""Filling in what belongs to a bundle, and nothing else."""

from pathlib import Path

import pytest
from engine.assemble import render_model_config
from engine.program import BadInputError

VERSION = "sha256:" + "a" * 64
MINIMAL = """
name: "tensorrt_llm"
max_batch_size: 64
parameters { key: "model_version" value: { string_value: "" } }
parameters { key: "gpt_model_path" value: { string_value: "/old" } }
"""


def render(text: str, max_batch_size: int = 64) -> str:
    """Render for one engine."""
    return render_model_config(text, "/new/engine", VERSION, max_batch_size)


def test_two_values_change_and_every_comment_stays(root: Path) -> None:
    """Lines differ only where the two parameters stand."""
    text = (root / "model_repository" / "tensorrt_llm" / "config.pbtxt").read_text("utf-8")

    changed = [(old, new) for old, new in zip(text.splitlines(), render(text).splitlines(), strict=True) if old != new]

    assert ["model_version", "gpt_model_path"] == [old.split('"')[1] for old, _ in changed]


@pytest.mark.parametrize(
    ("text", "max_batch_size", "message"),
    [
        (MINIMAL.replace("model_version", "model_name"), 64, 'has no line: parameters { key: "model_version"'),
        (MINIMAL.replace("gpt_model_path", "path"), 64, 'has no line: parameters { key: "gpt_model_path"'),
        ("name: [", 64, "is no model config"),
        (MINIMAL, 32, "has max_batch_size 64, the engine takes 32"),
    ],
)
def test_a_config_that_would_not_serve_the_engine_is_refused(text: str, max_batch_size: int, message: str) -> None:
    """A missing key is found here, not when Triton loads the model."""
    with pytest.raises(BadInputError, match=message.replace("{", r"\{")):
        render(text, max_batch_size)
