"""Every option that is passed to TensorRT-LLM's tools, against tables written from its documentation.

The tables are data of their own: nothing here is derived from the code that emits the options.
"""

import re
from pathlib import Path

import pytest
from engine.precision import Precision
from engine.settings import DEFAULT_FILE, read_settings
from engine.toolchain import compile_command, convert_command, quantize_command, serve_line

SETTINGS = read_settings(DEFAULT_FILE)
TOOLKIT = SETTINGS.toolkit("1.2.1")
QWEN_POSITIONS = 32768
FLAG = True

CONVERT = {"--model_dir": "HF", "--output_dir": "CKPT", "--dtype": "bfloat16"}
QUANTIZE = {
    "fp8": {
        "--model_dir": "HF",
        "--output_dir": "CKPT",
        "--qformat": "fp8",
        "--dtype": "bfloat16",
        "--calib_size": "512",
        "--calib_dataset": "PROMPTS",
        "--calib_max_seq_length": "2048",
    },
    "int4_awq": {
        "--model_dir": "HF",
        "--output_dir": "CKPT",
        "--qformat": "int4_awq",
        "--awq_block_size": "128",
        "--dtype": "float16",
        "--calib_size": "32",
        "--calib_dataset": "PROMPTS",
        "--calib_max_seq_length": "2048",
    },
    "int8_wo": {"--model_dir": "HF", "--output_dir": "CKPT", "--qformat": "int8_wo", "--dtype": "bfloat16"},
}
COMPILE: dict[str, str | bool] = {
    "--checkpoint_dir": "CKPT",
    "--output_dir": "ENGINE",
    "--gemm_plugin": "auto",
    "--gpt_attention_plugin": "auto",
    "--remove_input_padding": "enable",
    "--context_fmha": "enable",
    "--kv_cache_type": "paged",
    "--use_paged_context_fmha": "enable",
    "--tokens_per_block": "32",
    "--max_batch_size": "64",
    "--max_num_tokens": "8192",
    "--max_seq_len": "8192",
    "--max_input_len": "8000",
    "--max_beam_width": "1",
    "--multiple_profiles": "enable",
    "--gather_generation_logits": FLAG,
    "--logits_dtype": "float32",
    "--workers": "1",
}
COMPILE_FP8: dict[str, str | bool] = {**COMPILE, "--gemm_plugin": "disable", "--use_fp8_context_fmha": "enable"}

# What the help texts of the three tools allow, as far as it is used here: an option and the values it takes.
INTEGER, PATH, SWITCH = r"\d+", r"[A-Z]+", "enable|disable"
KNOWN = {
    "convert": {"--model_dir": PATH, "--output_dir": PATH, "--dtype": "auto|float16|bfloat16|float32"},
    "quantize": {
        "--model_dir": PATH,
        "--output_dir": PATH,
        "--dtype": "auto|float16|bfloat16|float32",
        "--qformat": "fp8|int4_awq|w4a8_awq|int8_wo|int4_wo|int8_sq|nvfp4",
        "--calib_size": INTEGER,
        "--calib_dataset": PATH,
        "--calib_max_seq_length": INTEGER,
        "--awq_block_size": INTEGER,
    },
    "compile": {
        "--checkpoint_dir": PATH,
        "--output_dir": PATH,
        "--gemm_plugin": "auto|float16|bfloat16|float32|int32|fp8|nvfp4|disable",
        "--gpt_attention_plugin": "auto|float16|bfloat16|float32|int32|disable",
        "--remove_input_padding": SWITCH,
        "--context_fmha": SWITCH,
        "--kv_cache_type": "continuous|paged|disabled",
        "--use_paged_context_fmha": SWITCH,
        "--use_fp8_context_fmha": SWITCH,
        "--tokens_per_block": "16|32|64|128",
        "--max_batch_size": INTEGER,
        "--max_num_tokens": INTEGER,
        "--max_seq_len": INTEGER,
        "--max_input_len": INTEGER,
        "--max_beam_width": INTEGER,
        "--multiple_profiles": SWITCH,
        "--gather_generation_logits": "True",
        "--logits_dtype": "float16|float32",
        "--workers": INTEGER,
    },
}


def options_of(words: tuple[str, ...]) -> dict[str, str | bool]:
    """Read a command line's options, each of which may stand once."""
    options: dict[str, str | bool] = {}
    for index, word in enumerate(words):
        if word.startswith("--"):
            assert word not in options
            following = words[index + 1] if index + 1 < len(words) else "--"
            options[word] = FLAG if following.startswith("--") else following
    return options


def quantize_words(precision: Precision) -> tuple[str, ...]:
    """Write the command for one precision."""
    prompts = Path("PROMPTS") if precision.needs_prompts else None
    return quantize_command(TOOLKIT, SETTINGS.quantization, precision, Path("HF"), prompts, Path("CKPT"))


def compile_words(precision: Precision, max_positions: int = QWEN_POSITIONS) -> tuple[str, ...]:
    """Write the compiler's command for one precision."""
    limits = SETTINGS.engine.capped(max_positions)
    return compile_command(TOOLKIT, limits, precision, Path("CKPT"), Path("ENGINE"))


def test_the_pins_are_the_last_line_with_an_engine_workflow() -> None:
    """Version, image and scripts are those of the table of images."""
    pins = {version: (toolkit.image, toolkit.min_driver) for version, toolkit in SETTINGS.toolkits.items()}

    assert {
        "1.2.1": ("nvcr.io/nvidia/tritonserver:26.07-trtllm-python-py3", 580),
        "1.0.0": ("nvcr.io/nvidia/tritonserver:25.10-trtllm-python-py3", 575),
    } == pins


def test_convert_passes_the_documented_options() -> None:
    """Weights become bfloat16; logits stay float32, the script's default."""
    words = convert_command(TOOLKIT, Path("HF"), Path("CKPT"))

    assert ("python3", "/app/examples/models/core/qwen/convert_checkpoint.py") == words[:2]
    assert CONVERT == options_of(words)


@pytest.mark.parametrize("name", QUANTIZE)
def test_quantize_passes_the_documented_options(name: str) -> None:
    """Each precision has the arguments of its row, and none touches the KV cache."""
    words = quantize_words(Precision(name))

    assert ("python3", "/app/examples/quantization/quantize.py") == words[:2]
    assert QUANTIZE[name] == options_of(words)


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        (Precision.BF16, COMPILE),
        (Precision.FP8, COMPILE_FP8),
        (Precision.INT4_AWQ, COMPILE),
        (Precision.INT8_WO, COMPILE),
    ],
)
def test_compile_passes_the_documented_options(precision: Precision, expected: dict[str, str | bool]) -> None:
    """The engine is bounded, pages its KV cache and gathers float32 logits, in every precision."""
    words = compile_words(precision)

    assert "trtllm-build" == words[0]
    assert expected == options_of(words)


def test_a_checkpoint_for_fewer_positions_bounds_the_engine() -> None:
    """An engine never promises more tokens than the weights were made for."""
    options = options_of(compile_words(Precision.BF16, max_positions=1024))

    assert ("1024", "1023") == (options["--max_seq_len"], options["--max_input_len"])


@pytest.mark.parametrize("precision", Precision)
def test_every_option_is_one_the_tools_know(precision: Precision) -> None:
    """No option and no value is made up."""
    emitted = {
        "convert": options_of(convert_command(TOOLKIT, Path("HF"), Path("CKPT"))),
        "quantize": options_of(quantize_words(precision)) if precision.is_quantized else {},
        "compile": options_of(compile_words(precision)),
    }

    unknown = [
        (tool, option, value)
        for tool, options in emitted.items()
        for option, value in options.items()
        if option not in KNOWN[tool] or not re.fullmatch(KNOWN[tool][option], str(value))
    ]
    assert [] == unknown


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
