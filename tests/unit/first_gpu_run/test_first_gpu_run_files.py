"""Checks of the image, the engine's files and the loaded model tell what confirms them from what does not."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from first_gpu_run.checks import Status
from first_gpu_run.host import Host
from google.protobuf import text_format
from recorded_runner import RecordedRunner
from recorded_wire import RecordedWire, outcome, usual
from stand_in_toolkit import write_engine
from tritonclient.grpc.model_config_pb2 import ModelConfig

from archrouter.bundles.loader import PromptBundle
from archrouter.bundles.probe import SkeletonProbe
from archrouter.domain.answer import AnswerSkeleton, Quoting

PYTHON_FORM = AnswerSkeleton("{'route': ", "}", Quoting.PYTHON)


def template(root: Path, folder: Path, change: tuple[str, str] = ("", "")) -> Path:
    """Write an image's folder of templates, as upstream has them: with placeholders."""
    text = (root / "model_repository" / "tensorrt_llm" / "config.pbtxt").read_text("utf-8")
    text = text.replace("max_batch_size: 64", "max_batch_size: ${triton_max_batch_size}")
    text = text.replace("decoupled: false", "decoupled: ${decoupled_mode}").replace(*change)
    path = folder / "inflight_batcher_llm" / "tensorrt_llm" / "config.pbtxt"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("change", "status", "saw"),
    [
        (("", ""), Status.CONFIRMED, "62 inputs, 21 outputs"),
        (
            ('name: "seed"', 'name: "random_seed"'),
            Status.DIFFERENT,
            "input random_seed is .* in the image, absent here",
        ),
        (('key: "decoding_mode"', 'key: "mode"'), Status.DIFFERENT, "parameter mode is only in the image's"),
    ],
)
def test_template(host: Host, root: Path, tmp_path: Path, change: tuple[str, str], status: Status, saw: str) -> None:
    """A renamed tensor and a new parameter are both seen."""
    found = outcome("template", dataclasses.replace(host, image_root=template(root, tmp_path / "models", change)))

    assert status is found[0]
    assert re.search(saw, found[1])


def test_template_that_cannot_be_read(host: Host, tmp_path: Path) -> None:
    """A wrong folder refutes nothing."""
    assert Status.NOT_CHECKED is outcome("template", dataclasses.replace(host, image_root=tmp_path))[0]


def test_legacy_warning(host: Host, tmp_path: Path) -> None:
    """The line is quoted; without the compiler's log nothing is said."""
    at = dataclasses.replace(host, logs=tmp_path)
    assert Status.NOT_CHECKED is outcome("legacy-warning", at)[0]
    (tmp_path / "compile.log").write_text("[TRT-LLM] built\n")
    assert (Status.CONFIRMED, "no LEGACY WARNING in the logs of compile") == outcome("legacy-warning", at)
    (tmp_path / "convert.log").write_text("FutureWarning: LEGACY WARNING: use the PyTorch backend\n")
    assert (Status.DIFFERENT, "convert: FutureWarning: LEGACY WARNING: use the PyTorch backend") == outcome(
        "legacy-warning", at
    )


@pytest.mark.parametrize(
    ("driver", "is_ready", "status"),
    [
        ("590.44.01", True, Status.CONFIRMED),
        ("575.57.08", False, Status.CONFIRMED),
        ("575.57.08", True, Status.DIFFERENT),
        ("590.44.01", False, Status.DIFFERENT),
    ],
)
def test_driver(host: Host, driver: str, is_ready: bool, status: Status) -> None:  # noqa: FBT001  # a column of a table
    """What counts is whether the model is served with it."""
    runner = RecordedRunner(captures={"nvidia-smi": f"NVIDIA L40S, 8.9, {driver}\n"})
    at = dataclasses.replace(host, runner=runner, wire=RecordedWire(usual, is_ready=is_ready))

    assert status is outcome("driver", at)[0]


def test_driver_without_a_gpu(host: Host) -> None:
    """Nothing to look at."""
    at = dataclasses.replace(host, runner=RecordedRunner())

    assert (Status.NOT_CHECKED, "needs an NVIDIA GPU (nvidia-smi does not answer)") == outcome("driver", at)


@pytest.mark.parametrize(("version", "status"), [("0.1.25", Status.CONFIRMED), ("0.2.8", Status.DIFFERENT)])
def test_xgrammar(host: Host, version: str, status: Status) -> None:
    """The version is told either way."""
    at = dataclasses.replace(host, runner=RecordedRunner(captures={"python3": f"{version}\n"}))

    assert (status, f"xgrammar {version}") == outcome("xgrammar", at)


def test_geometry(host: Host, checkpoint: Path, tmp_path: Path) -> None:
    """The toy is not Arch-Router; the real shape is."""
    config = json.loads((checkpoint / "config.json").read_text())
    real = {
        "num_hidden_layers": 28,
        "hidden_size": 1536,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "vocab_size": 151_936,
        "max_position_embeddings": 32_768,
    }
    (tmp_path / "config.json").write_text(json.dumps({**config, **real}))

    toy = outcome("geometry", dataclasses.replace(host, checkpoint=checkpoint))
    assert (Status.DIFFERENT, "4 layers, width 128, 2 KV heads of 32, vocabulary 1024, tied") == toy
    assert Status.CONFIRMED is outcome("geometry", dataclasses.replace(host, checkpoint=tmp_path))[0]


@pytest.mark.parametrize(
    ("changes", "status", "saw"),
    [
        ({}, Status.CONFIRMED, "version='1.2.1'"),
        ({"version": "1.2.0"}, Status.DIFFERENT, "version='1.2.0'"),
        ({"build_config.gather_generation_logits": False}, Status.DIFFERENT, "gather_generation_logits=False"),
        ({"build_config.max_seq_len": 2048}, Status.DIFFERENT, "max_seq_len=2048"),
        ({"build_config": None}, Status.DIFFERENT, "build_config: Field required"),
    ],
)
def test_engine_config(
    host: Host, engine_bundle: PromptBundle, changes: dict[str, object], status: Status, saw: str
) -> None:
    """Another layout and another value are both told."""
    write_engine(engine_bundle.directory / "engine", **changes)

    found = outcome("engine-config", host)

    assert status is found[0]
    assert saw in found[1]


def config_of(root: Path, model_version: str, **parameters: str) -> ModelConfig:
    """Give the checked-in config as Triton would have it."""
    text = (root / "model_repository" / "tensorrt_llm" / "config.pbtxt").read_text("utf-8")
    config = text_format.Parse(text, ModelConfig())
    for key, value in {"model_version": model_version, **parameters}.items():
        config.parameters[key].string_value = value
    return config


def test_load(host: Host, engine_bundle: PromptBundle, root: Path) -> None:
    """Ready with the bundle's digest confirms; another digest refutes; not ready says nothing."""
    own = config_of(root, engine_bundle.profile.model_version)
    other = config_of(root, "sha256:other")

    assert Status.CONFIRMED is outcome("load", dataclasses.replace(host, wire=RecordedWire(usual, config=own)))[0]
    assert (Status.DIFFERENT, "ready, model_version sha256:other") == outcome(
        "load", dataclasses.replace(host, wire=RecordedWire(usual, config=other))
    )
    assert Status.NOT_CHECKED is outcome("load", dataclasses.replace(host, wire=RecordedWire(usual, is_ready=False)))[0]


def test_model_config(host: Host, root: Path) -> None:
    """The bundle's own values do not count; everything else does."""
    own = config_of(root, "sha256:x", gpt_model_path="/elsewhere")
    other = config_of(root, "sha256:x", normalize_log_probs="true")
    other.max_batch_size = 8

    assert (Status.CONFIRMED, "tensors, limits and parameters agree") == outcome(
        "model-config", dataclasses.replace(host, wire=RecordedWire(usual, config=own))
    )
    assert (Status.DIFFERENT, "max_batch_size, parameters differ") == outcome(
        "model-config", dataclasses.replace(host, wire=RecordedWire(usual, config=other))
    )
    assert Status.NOT_CHECKED is outcome("model-config", dataclasses.replace(host, model="mine"))[0]


@pytest.mark.parametrize(
    ("skeleton", "agreement", "status"),
    [
        (PYTHON_FORM, 0.9, Status.CONFIRMED),
        (PYTHON_FORM, 0.5, Status.DIFFERENT),
        (AnswerSkeleton(), 1.0, Status.DIFFERENT),
        (None, 0.0, Status.DIFFERENT),
    ],
)
def test_answer_form(host: Host, skeleton: AnswerSkeleton | None, agreement: float, status: Status) -> None:
    """The engine must write as the manifest says, in most of its answers."""
    at = dataclasses.replace(host, probe=lambda: SkeletonProbe(skeleton, agreement, 20))

    assert status is outcome("answer-form", at)[0]


@pytest.mark.parametrize(("code", "status"), [(0, Status.CONFIRMED), (1, Status.DIFFERENT), (3, Status.NOT_CHECKED)])
def test_golden(host: Host, checkpoint: Path, code: int, status: Status) -> None:
    """The verification program decides; where it cannot run, nothing is said."""

    def run(_command: object, on_line: Callable[[str], None]) -> int:
        on_line("route agreement 20/20")
        return code

    runner = RecordedRunner(run=run)
    found = outcome("golden", dataclasses.replace(host, runner=runner, checkpoint=checkpoint))

    assert status is found[0]
    assert "route agreement 20/20" in found[1]
    assert ("-m", "engine.verify", "--endpoint", "gpu:8001", "--model", "tensorrt_llm") == runner.commands[0][1:7]
