"""Assembling: bundle, manifest and model repository that belong together, whole or not at all."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from engine import assemble
from google.protobuf import text_format
from tests.support.engine_bundles import ENGINE
from tests.support.stand_in_toolkit import ENGINE_BYTES
from tritonclient.grpc.model_config_pb2 import ModelConfig

from archrouter.bundles.loader import load_bundle
from archrouter.bundles.manifest import Engine, check_files

Compiled = Callable[..., Path]


def words(root: Path, checkpoint: Path, probed: Path, compiled: Path, output: Path) -> list[str]:
    """Write the command's arguments."""
    return [
        *("--checkpoint", str(checkpoint), "--probed", str(probed), "--compiled", str(compiled)),
        *("--precision", "bf16", "--output", str(output), "--model-repository", str(root / "model_repository")),
    ]


@pytest.fixture
def run(root: Path, checkpoint: Path, probed: Path, tmp_path: Path) -> Callable[..., int]:
    """Give a function that assembles into ``tmp_path / "assemble"``."""

    def call(compiled: Path, source: Path = checkpoint) -> int:
        return assemble.main(words(root, source, probed, compiled, tmp_path / "assemble"))

    return call


def left_over(tmp_path: Path) -> list[str]:
    """Name what an assembly that failed left behind."""
    return [path.name for path in tmp_path.iterdir() if "assemble" in path.name]


def test_the_bundle_names_its_engine_and_the_measured_form_of_the_answer(
    run: Callable[..., int], compiled: Compiled, tmp_path: Path
) -> None:
    """The manifest is final: every file is under it, and the form is the probe's, not a default."""
    code = run(compiled())

    bundle = load_bundle(tmp_path / "assemble" / "bundle")
    check_files(bundle.directory, bundle.manifest)
    assert 0 == code
    assert "{'route': 'x'}" == bundle.prompt_format.skeleton.render("x")
    assert (0.95, 20) == (bundle.manifest.skeleton.agreement, bundle.manifest.skeleton.probe_count)
    assert "tensorrt_llm" == bundle.manifest.runtime
    assert 1023 == bundle.profile.max_prompt_token_count
    assert Engine(**{**ENGINE, "compute_capability": "8.9"}) == bundle.manifest.engine
    assert ENGINE_BYTES == (bundle.directory / "engine" / "rank0.engine").read_bytes()


def test_the_model_config_is_the_checked_in_one_with_two_values(
    run: Callable[..., int], compiled: Compiled, tmp_path: Path, root: Path
) -> None:
    """Triton carries the bundle's digest and the engine's folder; its version folder is empty."""
    run(compiled())

    model = tmp_path / "assemble" / "model_repository" / "tensorrt_llm"
    text = (model / "config.pbtxt").read_text("utf-8")
    checked_in = (root / "model_repository" / "tensorrt_llm" / "config.pbtxt").read_text("utf-8")
    config = text_format.Parse(text, ModelConfig())
    version = load_bundle(tmp_path / "assemble" / "bundle").profile.model_version
    assert version == config.parameters["model_version"].string_value
    assert "/opt/archrouter/bundle/engine" == config.parameters["gpt_model_path"].string_value
    assert 1 == len(set(text.splitlines()) - set(checked_in.splitlines()))
    assert [] == list((model / "1").iterdir())


def test_the_same_parts_give_the_same_model_version(
    run: Callable[..., int], compiled: Compiled, tmp_path: Path
) -> None:
    """A release's identity is its content."""
    parts = compiled()
    versions = []
    for name in ("first", "second"):
        run(parts)
        versions.append(load_bundle(tmp_path / "assemble" / "bundle").profile.model_version)
        (tmp_path / "assemble").rename(tmp_path / name)

    assert versions[0] == versions[1]


def test_an_engine_of_another_vocabulary_is_refused(
    run: Callable[..., int], compiled: Compiled, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its rows of logits would not be those of the tokenizer."""
    code = run(compiled(**{"pretrained_config.vocab_size": 151_936}))

    assert 1 == code
    assert "pretrained_config.vocab_size is 151936, not 1024" in capsys.readouterr().err
    assert [] == left_over(tmp_path)


def test_a_tokenizer_that_was_not_probed_is_refused(
    run: Callable[..., int],
    compiled: Compiled,
    own_checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The form of the answer was read with another tokenizer."""
    with (own_checkpoint / "tokenizer.json").open("a") as file:
        file.write("\n")

    code = run(compiled(), own_checkpoint)

    assert 2 == code
    assert "was probed with the tokenizer sha256:" in capsys.readouterr().err
    assert [] == left_over(tmp_path)


def test_weights_that_were_not_probed_are_refused(
    run: Callable[..., int],
    compiled: Compiled,
    own_checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One bit of the weights makes them another model."""
    path = own_checkpoint / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    code = run(compiled(), own_checkpoint)

    assert 2 == code
    assert "was probed with the weights sha256:" in capsys.readouterr().err
    assert [] == left_over(tmp_path)


def test_an_empty_engine_file_is_refused(
    run: Callable[..., int], compiled: Compiled, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A compiler that was killed may leave one."""
    parts = compiled()
    (parts / "engine" / "rank0.engine").write_bytes(b"")

    assert 1 == run(parts)
    assert "rank0.engine is missing or empty; compile again" in capsys.readouterr().err
    assert [] == left_over(tmp_path)


def test_a_disk_that_fills_up_while_assembling_leaves_nothing(
    root: Path, checkpoint: Path, probed: Path, compiled: Compiled, tmp_path: Path
) -> None:
    """The kernel refuses to write the engine's last bytes, for real; the folder is gone and the message says why."""
    # A limit of the file size stands for the end of the disk: the prompt's files fit, the engine does not.
    parts = compiled()
    (parts / "engine" / "rank0.engine").write_bytes(ENGINE_BYTES * 4)
    limit_bytes = len(ENGINE_BYTES) * 2
    command = words(root, checkpoint, probed, parts, tmp_path / "assemble")
    # The program limits itself: nothing of ours may run in a fork of a process in which gRPC has threads.
    limited = (
        f"import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes}, {limit_bytes})); "
        "runpy.run_module('engine', run_name='__main__', alter_sys=True)"
    )

    result = subprocess.run(
        [sys.executable, "-c", limited, "assemble", *command],
        env={**os.environ, "PYTHONPATH": str(root / "build")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert 1 == result.returncode
    assert "no room to write" in result.stderr
    assert "Nothing half-written is left" in result.stderr
    assert [] == left_over(tmp_path)


def test_a_disk_that_is_full_at_the_last_file_leaves_nothing(
    run: Callable[..., int],
    compiled: Compiled,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Engine and bundle are written by then; all of it goes."""

    def refuse(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(assemble, "_write_repository", refuse)

    assert 1 == run(compiled())
    assert "(No space left on device); free some and repeat" in capsys.readouterr().err
    assert [] == left_over(tmp_path)


def test_an_engine_without_its_gpu_is_refused(
    run: Callable[..., int], compiled: Compiled, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The manifest names the compute capability, and nothing else can know it."""
    parts = compiled()
    (parts / "gpu.csv").write_text("No devices were found\n")

    assert 2 == run(parts)
    assert "gpu.csv does not name the GPU the engine was built on" in capsys.readouterr().err
    assert [] == left_over(tmp_path)


def test_an_older_release_is_never_written_over(
    run: Callable[..., int], compiled: Compiled, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Upgrades switch between releases; none is changed in place."""
    parts = compiled()
    run(parts)
    before = json.loads((tmp_path / "assemble" / "bundle" / "manifest.json").read_text())

    assert 2 == run(parts)
    assert "exists already" in capsys.readouterr().err
    assert before == json.loads((tmp_path / "assemble" / "bundle" / "manifest.json").read_text())


@pytest.mark.parametrize("version", ["1.2.1+cu131", "1.2.1.post1"])
def test_a_version_with_a_suffix_of_its_build_is_that_version(
    run: Callable[..., int], compiled: Compiled, version: str
) -> None:
    """An engine is not thrown away for where its wheel was built."""
    assert 0 == run(compiled(version=version))


ENGINE_FAULTS = {
    "version": ("1.1.0", "version is 1.1.0, not 1.2.1"),
    "pretrained_config.vocab_size": (151_936, "vocab_size is 151936, not 1024"),
    "pretrained_config.logits_dtype": ("float16", "logits_dtype is float16, not float32"),
    "build_config.gather_generation_logits": (False, "gather_generation_logits is False, not True"),
    "build_config.max_batch_size": (8, "max_batch_size is 8, not 64"),
    "build_config.max_num_tokens": (1024, "max_num_tokens is 1024, not 8192"),
    "build_config.max_seq_len": (32_768, "max_seq_len is 32768, not 1024"),
    "build_config.plugin_config.tokens_per_block": (64, "tokens_per_block is 64, not 32"),
    "build_config.plugin_config.use_paged_context_fmha": (False, "use_paged_context_fmha is False, not True"),
    "build_config": (None, "build_config: Field required"),
}


@pytest.mark.parametrize("key", ENGINE_FAULTS)
def test_an_engine_that_is_not_what_was_asked_for_is_refused(
    run: Callable[..., int], compiled: Compiled, tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    """Its own config.json tells; a wrong vocabulary is one of the rows."""
    value, message = ENGINE_FAULTS[key]

    code = run(compiled(**{key: value}))

    assert 1 == code
    assert message in capsys.readouterr().err
    assert [] == left_over(tmp_path)
