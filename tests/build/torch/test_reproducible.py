"""The committed models are what their programs make. Needs the extra `build`; run with ``make test-build``."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Run = Callable[..., "CompletedProcess[str]"]


def test_the_tiny_checkpoint_has_the_accuracy_it_states(run: Run) -> None:
    """The committed weights, read by transformers, score what their card says."""
    result = run("tiny_checkpoint", "evaluate", "tests/data/tiny_checkpoint")

    assert 0 == result.returncode, result.stderr
    assert '"equals_stated": true' in result.stdout


def test_a_checkpoint_is_converted_without_network_use(run: Run, tmp_path: Path) -> None:
    """The model builder of ONNX Runtime GenAI makes what ``archrouter bundle build`` serves and probes."""
    result = run(
        *("archrouter", "bundle", "build", "--checkpoint", "tests/data/tiny_checkpoint"),
        *("--output", str(tmp_path / "bundle")),
    )

    assert 0 == result.returncode, result.stderr
    assert "100% of 20 probes" in result.stderr
    assert (tmp_path / "bundle" / "model" / "model.onnx").is_file()


@pytest.mark.parametrize(
    "program",
    [
        *(
            "compact_router.train",
            "compact_router.measure",
            "compact_router.average",
            "compact_router.export",
            "compact_router.calibrate",
        ),
        *("compact_router.curve", "compact_router.stamp", "compact_router.speed"),
        *("tiny_checkpoint", "tiny_checkpoint.labelled"),
    ],
)
def test_every_program_explains_itself(run: Run, program: str) -> None:
    """``--help`` works without data."""
    assert 0 == run(program, "--help").returncode
