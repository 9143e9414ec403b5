"""Steps in the image: what is missing is said, nothing half-written stays, and a container can be started."""

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from engine import compile as compile_step
from engine import convert, quantize
from recorded_runner import RecordedRunner
from stand_in_toolkit import write_engine

IMAGE = "nvcr.io/nvidia/tritonserver:26.07-trtllm-python-py3"
CONVERT_SCRIPT = "/app/examples/models/core/qwen/convert_checkpoint.py"
QUANTIZE_SCRIPT = "/app/examples/quantization/quantize.py"
TOOLS = frozenset({CONVERT_SCRIPT, QUANTIZE_SCRIPT, "trtllm-build"})
L40S = {"nvidia-smi": "NVIDIA L40S, 8.9, 590.44.01\n"}

Run = Callable[[Sequence[str], Callable[[str], None]], int]


def option(command: Sequence[str], name: str) -> str:
    """Read the value of an option."""
    return command[command.index(name) + 1]


@pytest.fixture
def converting(checkpoint: Path) -> Run:
    """Give what stands for the convert script: a config and the weights as they were."""

    def run(command: Sequence[str], _on_line: Callable[[str], None]) -> int:
        output = Path(option(command, "--output_dir"))
        shutil.copy(checkpoint / "model.safetensors", output / "rank0.safetensors")
        (output / "config.json").write_text("{}")
        return 0

    return run


def test_outside_the_image_a_step_says_what_is_missing_and_how_to_enter_it(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Script, GPU, image, driver and the exact line; exit code 3, and no folder."""
    monkeypatch.chdir(tmp_path)
    runner = RecordedRunner()

    code = convert.main(["--checkpoint", str(checkpoint), "--output", "convert"], runner)

    text = capsys.readouterr().err
    assert 3 == code
    assert f"  - {CONVERT_SCRIPT}\n" in text
    assert "  - an NVIDIA GPU (nvidia-smi does not answer)\n" in text
    assert (
        "  docker run --rm -it --gpus all --shm-size=2g --ulimit memlock=-1 --ulimit stack=67108864 "
        f'-v {checkpoint}:{checkpoint}:ro -v "$PWD:$PWD" -w "$PWD" {IMAGE} bash\n'
    ) in text
    assert [] == runner.commands
    assert [] == list(tmp_path.iterdir())


def test_every_step_in_the_image_asks_for_its_own_tool(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The three steps name the script or program they lack."""
    output, there = ["--output", str(tmp_path / "out")], ["--checkpoint", str(checkpoint)]
    codes = [
        convert.main([*there, *output], RecordedRunner(captures=L40S)),
        quantize.main([*there, "--precision", "int8_wo", *output], RecordedRunner(captures=L40S)),
        compile_step.main(
            [*there, "--tensors", str(tmp_path), "--precision", "bf16", *output], RecordedRunner(captures=L40S)
        ),
    ]

    lines = capsys.readouterr().err.splitlines()
    assert [3, 3, 3] == codes
    assert [CONVERT_SCRIPT, QUANTIZE_SCRIPT, "trtllm-build"] == [line[4:] for line in lines if line.startswith("  - ")]


def test_an_old_driver_is_named(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The toolkit for CUDA 12.9 takes what the newer one refuses."""
    runner = RecordedRunner(TOOLS, {"nvidia-smi": "NVIDIA L40S, 8.9, 575.57.08\n"}, lambda _c, _l: 1)
    command = ["--checkpoint", str(checkpoint), "--output", str(tmp_path / "convert")]

    assert 3 == convert.main(command, runner)
    assert "an NVIDIA driver of 580 or newer (this is 575.57.08)" in capsys.readouterr().err
    assert 1 == convert.main([*command, "--toolkit", "1.0.0"], runner)
    assert 1 == len(runner.commands)


def test_a_precision_the_gpu_cannot_run_is_refused_before_the_tool_starts(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """FP8 on an Ampere card ends with exit code 2."""
    runner = RecordedRunner(TOOLS, {"nvidia-smi": "NVIDIA A10, 8.6, 590.44.01\n"})
    command = ["--checkpoint", str(checkpoint), "--precision", "fp8", "--prompts", str(tmp_path)]

    code = quantize.main([*command, "--output", str(tmp_path / "quantize")], runner)

    assert 2 == code
    assert "needs SM 89" in capsys.readouterr().err
    assert [] == runner.commands


def test_quantising_without_its_prompts_or_with_an_int8_cache_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both are said before this machine is even looked at."""
    runner = RecordedRunner()
    command = ["--checkpoint", str(checkpoint), "--precision", "int4_awq", "--output", str(tmp_path / "quantize")]

    assert 2 == quantize.main(command, runner)
    assert "give --prompts" in capsys.readouterr().err
    assert 2 == quantize.main([*command, "--kv-cache", "int8"], runner)
    assert "turns paged context FMHA off" in capsys.readouterr().err


def test_a_converted_checkpoint_appears_whole(checkpoint: Path, tmp_path: Path, converting: Run) -> None:
    """The script writes beside the output, which is renamed at the end."""
    runner = RecordedRunner(TOOLS, L40S, converting)
    output = tmp_path / "convert"

    code = convert.main(["--checkpoint", str(checkpoint), "--output", str(output)], runner)

    assert 0 == code
    assert {"config.json", "rank0.safetensors"} == {path.name for path in output.iterdir()}
    assert [output] == list(tmp_path.iterdir())
    assert Path(option(runner.commands[0], "--output_dir")) != output


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (lambda _command, _on_line: 1, "ended with exit code 1; its output stands above"),
        (lambda _command, _on_line: 0, "ended well but wrote no config.json"),
        (
            lambda command, _on_line: Path(option(command, "--output_dir"), "config.json").write_text("{}") * 0,
            "ended well, but .* holds no .*safetensors",
        ),
    ],
    ids=["it fails", "it writes nothing", "it writes no weights"],
)
def test_a_tool_that_does_not_do_its_work_leaves_nothing(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], outcome: Run, message: str
) -> None:
    """A good exit code alone is no success."""
    runner = RecordedRunner(TOOLS, L40S, outcome)

    code = convert.main(["--checkpoint", str(checkpoint), "--output", str(tmp_path / "convert")], runner)

    assert 1 == code
    assert re.search(message, capsys.readouterr().err)
    assert [] == list(tmp_path.iterdir())


def test_a_step_runs_in_a_container_of_its_own_where_docker_is(
    checkpoint: Path, tmp_path: Path, converting: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command inside is the same, in the same folder and with the same paths."""
    monkeypatch.chdir(tmp_path)
    runner = RecordedRunner(frozenset({"docker"}), L40S, converting)

    code = convert.main(["--checkpoint", str(checkpoint), "--output", "convert", "--container", "docker"], runner)

    (command,) = runner.commands
    position = command.index(IMAGE)
    assert 0 == code
    assert (
        *("docker", "run", "--rm", "--gpus", "all", "--shm-size=2g", "--ulimit", "memlock=-1"),
        *("--ulimit", "stack=67108864", "-v", f"{tmp_path}:{tmp_path}", "-v", f"{checkpoint}:{checkpoint}:ro"),
        *("-w", str(tmp_path)),
    ) == command[:position]
    assert ("python3", CONVERT_SCRIPT, "--model_dir", str(checkpoint)) == command[position + 1 : position + 5]


def test_a_checkpoint_of_links_is_mounted_with_what_they_point_to(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub's cache holds links into a folder of blobs."""
    here, cache = tmp_path / "here", tmp_path / "snapshot"
    here.mkdir()
    cache.mkdir()
    for path in checkpoint.iterdir():
        (cache / path.name).symlink_to(path)
    monkeypatch.chdir(here)

    convert.main(["--checkpoint", str(cache), "--output", "convert"], RecordedRunner())

    text = capsys.readouterr().err
    assert f"-v {cache}:{cache}:ro" in text
    assert f"-v {checkpoint}:{checkpoint}:ro" in text


def test_a_workspace_elsewhere_is_mounted_to_be_written(
    checkpoint: Path, tmp_path: Path, converting: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The output's folder can be written, the checkpoint's only read."""
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(here)
    runner = RecordedRunner(frozenset({"docker"}), L40S, converting)
    command = ["--checkpoint", str(checkpoint), "--output", str(elsewhere / "convert"), "--container", "docker"]

    assert 0 == convert.main(command, runner)
    (words,) = runner.commands
    mounts = [words[index + 1] for index, word in enumerate(words) if word == "-v"]
    assert [f"{here}:{here}", f"{elsewhere}:{elsewhere}", f"{checkpoint}:{checkpoint}:ro"] == mounts


def compiling(**changes: object) -> Run:
    """Stand for the compiler, with changes to the config it writes."""

    def run(command: Sequence[str], _on_line: Callable[[str], None]) -> int:
        write_engine(Path(option(command, "--output_dir")), **changes)
        return 0

    return run


def compile_with(checkpoint: Path, tmp_path: Path, run: Run) -> int:
    """Run the step compile."""
    command = ["--checkpoint", str(checkpoint), "--tensors", str(tmp_path), "--precision", "bf16"]
    return compile_step.main([*command, "--output", str(tmp_path / "compile")], RecordedRunner(TOOLS, L40S, run))


def test_a_compiled_engine_is_kept_with_the_gpu_it_was_built_on(checkpoint: Path, tmp_path: Path) -> None:
    """The manifest will name the compute capability."""
    code = compile_with(checkpoint, tmp_path, compiling())

    gpu = json.loads((tmp_path / "compile" / "gpu.json").read_text())
    assert 0 == code
    assert {"config.json", "rank0.engine"} == {path.name for path in (tmp_path / "compile" / "engine").iterdir()}
    assert ("NVIDIA L40S", "8.9", "590.44.01") == (gpu["name"], gpu["compute_capability"], gpu["driver"])


@pytest.mark.parametrize("version", ["1.2.1+cu131", "1.2.1.post1"])
def test_a_version_with_a_suffix_of_its_build_is_that_version(checkpoint: Path, tmp_path: Path, version: str) -> None:
    """An engine is not thrown away for where its wheel was built."""
    assert 0 == compile_with(checkpoint, tmp_path, compiling(version=version))


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
def test_an_engine_that_is_not_what_was_asked_for_is_thrown_away(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    """Its own config.json tells; a wrong vocabulary is one of the rows."""
    value, message = ENGINE_FAULTS[key]

    code = compile_with(checkpoint, tmp_path, compiling(**{key: value}))

    assert 1 == code
    assert message in capsys.readouterr().err
    assert [] == list(tmp_path.iterdir())
