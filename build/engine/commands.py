"""The exact command lines of TensorRT-LLM's tools and of the containers they run in.

The tools see every folder under a fixed name, because the quantisation script chooses how to load a model by words that
stand anywhere in its path, such as "mpt" or "vila". A test compares every option with
`tests/data/upstream/trtllm.json`.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path

from engine.settings import Container, EngineLimits, Precision, Quantization, Toolkit

Command = tuple[str, ...]

CHECKPOINT, PROMPTS, TENSORS, OUTPUT = "/mnt/checkpoint", "/mnt/prompts", "/mnt/tensors", "/mnt/output"
GPU_QUERY = ("nvidia-smi", "--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader")


def convert_command(toolkit: Toolkit) -> Command:
    """Turn a checkpoint's tensors into TensorRT-LLM's, unquantised; logits stay float32, the script's default."""
    return (
        *("python3", toolkit.convert_script),
        *("--model_dir", CHECKPOINT, "--output_dir", OUTPUT),
        *("--dtype", "bfloat16"),
    )


def quantize_command(toolkit: Toolkit, quantization: Quantization, precision: Precision) -> Command:
    """Quantise the weights; the KV cache stays in 16 bits."""
    # bfloat16 for all that is not quantised: Qwen2's activations of this size leave float16's range.
    options: Command = ("--qformat", precision.value, "--dtype", "bfloat16")
    if precision is Precision.INT4_AWQ:
        options += ("--awq_block_size", str(quantization.awq_block_size))
    if precision.needs_prompts:
        options += ("--calib_dataset", PROMPTS, "--calib_size", str(calibration_size(quantization, precision)))
        options += ("--calib_max_seq_length", str(quantization.max_prompt_tokens))
    return ("python3", toolkit.quantize_script, "--model_dir", CHECKPOINT, "--output_dir", OUTPUT, *options)


def calibration_size(quantization: Quantization, precision: Precision) -> int:
    """Return how many prompts a precision that needs them is calibrated on."""
    return quantization.fp8_prompts if precision is Precision.FP8 else quantization.int4_awq_prompts


def compile_command(toolkit: Toolkit, limits: EngineLimits, precision: Precision) -> Command:
    """Compile the TensorRT engine: ``config.json`` and ``rank0.engine``."""
    # The documentation advises against the GEMM plugin for FP8, where TensorRT's own kernels are faster.
    is_fp8 = precision is Precision.FP8
    return (
        *(toolkit.compiler, "--checkpoint_dir", TENSORS, "--output_dir", OUTPUT),
        *("--gemm_plugin", "disable" if is_fp8 else "auto"),
        *("--gpt_attention_plugin", "auto"),
        *("--remove_input_padding", "enable"),
        *("--context_fmha", "enable"),
        *("--kv_cache_type", "paged"),
        *("--use_paged_context_fmha", "enable"),
        *(("--use_fp8_context_fmha", "enable") if is_fp8 else ()),
        *("--tokens_per_block", str(limits.tokens_per_block)),
        *("--max_batch_size", str(limits.max_batch_size)),
        *("--max_num_tokens", str(limits.max_num_tokens)),
        *("--max_seq_len", str(limits.max_seq_len)),
        *("--max_input_len", str(limits.max_input_len)),
        *("--max_beam_width", "1"),
        *("--multiple_profiles", "enable"),
        "--gather_generation_logits",
        *("--logits_dtype", "float32"),
        # Its default, model.cache, lies in the working folder, which need not be writable.
        *("--output_timing_cache", f"{OUTPUT}/model.cache"),
        *("--workers", "1"),
    )


def in_container(
    toolkit: Toolkit, container: Container, command: Command, reads: Mapping[str, Path], output: Path
) -> Command:
    """Wrap a tool's command so that it runs in the image."""
    mounts = [mount for name, folder in reads.items() for mount in _mounts(name, folder)]
    mounts.append(f"{output.absolute()}:{OUTPUT}")
    return (
        *("docker", "run", "--rm", *_options(container)),
        *(word for mount in mounts for word in ("-v", mount)),
        *("-w", "/work", toolkit.reference, *command),
    )


def _mounts(name: str, folder: Path) -> list[str]:
    """Mount a folder; where it holds links, as a hub's cache does, mount what each of its files points to."""
    files = sorted(folder.glob("*"))
    if any(file.is_symlink() for file in files):
        return [f"{file.resolve()}:{name}/{file.name}:ro" for file in files]
    return [f"{folder.absolute()}:{name}:ro"]


def _options(container: Container) -> Command:
    limits = ("--ulimit", "memlock=-1", "--ulimit", "stack=67108864")
    return ("--gpus", "all", f"--shm-size={container.shm_size}", *limits)


def serve_line(toolkit: Toolkit, container: Container, assembled: Path) -> str:
    """Write the shell line that serves an assembled TensorRT engine."""
    folder = str(assembled) if assembled.is_absolute() else f"$PWD/{assembled}"
    return (
        f"docker run --rm {shlex.join(_options(container))} -p 127.0.0.1:8001:8001 -p 127.0.0.1:8002:8002 "
        f'-v "{folder}/bundle:{container.bundle_directory}:ro" -v "{folder}/model_repository:/models:ro" '
        f"{toolkit.reference} tritonserver --model-repository=/models --model-control-mode=explicit "
        "--load-model=tensorrt_llm --disable-auto-complete-config --allow-http=false"
    )
