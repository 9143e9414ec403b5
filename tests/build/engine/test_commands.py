"""Every option that is passed to TensorRT-LLM's tools, against what was read in their sources."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from engine.commands import compile_command, convert_command, in_container, quantize_command, serve_line
from engine.settings import DEFAULT_FILE, Precision, read_settings

SETTINGS = read_settings(DEFAULT_FILE)
TOOLKIT = SETTINGS.toolkit("1.2.1")
QWEN_POSITIONS = 32768
FLAG = True
UPSTREAM = json.loads(Path(__file__).parents[2].joinpath("data", "upstream", "trtllm.json").read_text("utf-8"))
TYPES = {"int": r"\d+", "float": r"[\d.]+", "str": r"\S+", "flag": "True"}

Options = dict[str, str | bool]


def options_of(words: tuple[str, ...]) -> Options:
    """Read a command line's options, each of which may stand once."""
    options: Options = {}
    for index, word in enumerate(words):
        if word.startswith("--"):
            assert word not in options
            following = words[index + 1] if index + 1 < len(words) else "--"
            options[word] = FLAG if following.startswith("--") else following
    return options


def compile_options(precision: Precision, max_positions: int = QWEN_POSITIONS) -> Options:
    """Read the compiler's options for one precision."""
    return options_of(compile_command(TOOLKIT, SETTINGS.engine.capped(max_positions), precision))


def quantize_options(precision: Precision) -> Options:
    """Read the quantisation's options for one precision."""
    return options_of(quantize_command(TOOLKIT, SETTINGS.quantization, precision))


def is_allowed(value: str, known: Any) -> bool:  # noqa: ANN401  # JSON
    """Say whether upstream takes a value: one of a list, or of a type."""
    pattern = "|".join(map(re.escape, known)) if isinstance(known, list) else TYPES[known]
    return re.fullmatch(pattern, value) is not None


def test_the_pins_are_the_last_line_with_an_engine_workflow() -> None:
    """Version, image and scripts are those of the table of images."""
    pins = {version: (toolkit.image, toolkit.min_driver) for version, toolkit in SETTINGS.toolkits.items()}

    assert {
        "1.2.1": ("nvcr.io/nvidia/tritonserver:26.07-trtllm-python-py3", 580),
        "1.0.0": ("nvcr.io/nvidia/tritonserver:25.10-trtllm-python-py3", 575),
    } == pins


@pytest.mark.parametrize("precision", Precision)
def test_every_option_and_value_is_one_that_upstream_takes(precision: Precision) -> None:
    """No option and no value is made up: the table is extracted from the tools' sources."""
    emitted = {
        "convert_checkpoint.py": options_of(convert_command(TOOLKIT)),
        "quantize.py": quantize_options(precision) if precision.is_quantized else {},
        "trtllm-build": compile_options(precision),
    }

    unknown = [
        (tool, option, value)
        for tool, options in emitted.items()
        for option, value in options.items()
        if not is_allowed(str(value), UPSTREAM["tools"][tool]["options"].get(option, []))
    ]
    assert [] == unknown


@pytest.mark.parametrize("precision", [one for one in Precision if one.is_quantized])
def test_what_is_not_quantised_is_bfloat16(precision: Precision) -> None:
    """Activations of a Qwen2 of this size leave float16's range; the KV cache is not touched."""
    options = quantize_options(precision)

    assert ("bfloat16", precision.value) == (options["--dtype"], options["--qformat"])
    assert "--kv_cache_dtype" not in options
    assert "bfloat16" == options_of(convert_command(TOOLKIT))["--dtype"]


def test_no_more_prompts_are_rendered_for_awq_than_the_script_takes() -> None:
    """It would silently drop the others."""
    most = UPSTREAM["quantisation"]["most_awq_calibration_prompts"]

    assert int(quantize_options(Precision.INT4_AWQ)["--calib_size"]) <= most
    assert "512" == quantize_options(Precision.FP8)["--calib_size"]
    assert "--calib_size" not in quantize_options(Precision.INT8_WO)


def test_no_path_holds_a_word_by_which_the_script_chooses_a_loader() -> None:
    """A checkpoint under /srv/prompts would be loaded as an MPT."""
    words = UPSTREAM["quantisation"]["words_in_a_path_that_choose_a_loader"]
    command = quantize_command(TOOLKIT, SETTINGS.quantization, Precision.FP8)
    line = in_container(TOOLKIT, SETTINGS.container, command, {}, Path("/srv/prompts/out"))

    assert "mpt" in words
    assert [] == [word for word in words if word in str(options_of(command)["--model_dir"])]
    assert command == line[-len(command) :]


def test_the_engine_is_bounded_pages_its_cache_and_gathers_float32_logits() -> None:
    """What the service and its Triton config rely on, in every precision."""
    for precision in Precision:
        options = compile_options(precision)

        assert ("64", "8192", "8192", "8000") == tuple(
            options[f"--{name}"] for name in ("max_batch_size", "max_num_tokens", "max_seq_len", "max_input_len")
        )
        assert ("paged", "enable", "32") == tuple(
            options[f"--{name}"] for name in ("kv_cache_type", "use_paged_context_fmha", "tokens_per_block")
        )
        assert (FLAG, "float32") == (options["--gather_generation_logits"], options["--logits_dtype"])
        assert ("disable" if precision is Precision.FP8 else "auto") == options["--gemm_plugin"]


def test_the_timing_cache_is_written_into_the_output() -> None:
    """Its default lies in the working folder, which need not be writable."""
    options = compile_options(Precision.BF16)

    assert f"{options['--output_dir']}/model.cache" == options["--output_timing_cache"]


def test_a_checkpoint_for_fewer_positions_bounds_the_engine() -> None:
    """An engine never promises more tokens than the weights were made for."""
    options = compile_options(Precision.BF16, max_positions=1024)

    assert ("1024", "1023") == (options["--max_seq_len"], options["--max_input_len"])


def test_an_image_whose_digest_is_known_is_named_by_it() -> None:
    """A tag can move; a digest cannot."""
    digest = "sha256:" + "0" * 64
    pinned = TOOLKIT.model_copy(update={"digest": digest})

    assert TOOLKIT.image == TOOLKIT.reference
    assert f" {TOOLKIT.image}@{digest} tritonserver " in serve_line(pinned, SETTINGS.container, Path("out"))
    assert f"{TOOLKIT.image}@{digest}" in in_container(pinned, SETTINGS.container, ("tool",), {}, Path("out"))


def mounts(line: tuple[str, ...]) -> list[str]:
    """List what a container sees."""
    return [line[index + 1] for index, word in enumerate(line) if word == "-v"]


def test_a_container_reads_one_folder_and_writes_another(tmp_path: Path) -> None:
    """Both under the names that the command has for them."""
    command = convert_command(TOOLKIT)

    line = in_container(TOOLKIT, SETTINGS.container, command, {"/mnt/checkpoint": tmp_path}, tmp_path / "out")

    assert ("docker", "run", "--rm", "--gpus", "all", "--shm-size=2g") == line[:6]
    assert [f"{tmp_path}:/mnt/checkpoint:ro", f"{tmp_path}/out:/mnt/output"] == mounts(line)
    assert (TOOLKIT.image, *command) == line[-len(command) - 1 :]


def test_what_links_of_a_hubs_cache_point_to_is_mounted(checkpoint: Path, tmp_path: Path) -> None:
    """A hub's cache holds links into a folder of blobs, which the container would not see."""
    for path in checkpoint.glob("*.json"):
        (tmp_path / path.name).symlink_to(path)

    line = in_container(TOOLKIT, SETTINGS.container, (), {"/mnt/checkpoint": tmp_path}, tmp_path)

    assert f"{checkpoint}/config.json:/mnt/checkpoint/config.json:ro" in mounts(line)


def test_the_server_is_started_for_one_model_without_http() -> None:
    """The served model is named, its config is not completed, and only gRPC and metrics listen."""
    line = serve_line(TOOLKIT, SETTINGS.container, Path("out/assemble"))

    for option in ("--gpus all", "--shm-size=2g", "--ulimit memlock=-1", "--ulimit stack=67108864"):
        assert option in line
    _, _, server = line.partition(f"{TOOLKIT.image} ")
    assert [
        "tritonserver",
        "--model-repository=/models",
        "--model-control-mode=explicit",
        "--load-model=tensorrt_llm",
        "--disable-auto-complete-config",
        "--allow-http=false",
    ] == server.split()
