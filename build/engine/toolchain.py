"""The exact command lines of TensorRT-LLM's tools and of the containers they run in.

Flags and values: ``examples/models/core/qwen/convert_checkpoint.py``, ``examples/quantization/quantize.py`` and
``tensorrt_llm/commands/build.py`` of TensorRT-LLM 1.x. A test compares every option with a table of its own.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path

from engine.precision import Precision
from engine.settings import Container, EngineLimits, Quantization, Toolkit

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Folders:
    """What a container must see besides the working folder.

    Attributes:
        reads: Folders that are read.
        writes: Folder that is written to.
    """

    reads: tuple[Path, ...]
    writes: Path

    def mounts(self) -> Command:
        """Return options of ``docker run`` that show these folders at their own paths.

        Where a folder holds links, as a hub's cache does, what they point to is shown as well.
        """
        here, written = Path.cwd(), self.writes.resolve()
        read = {path.resolve() for path in self.reads}
        read |= {file.resolve().parent for path in self.reads for file in path.glob("*") if file.is_symlink()}
        outside = [] if written.is_relative_to(here) else [f"{written}:{written}"]
        outside += [f"{path}:{path}:ro" for path in sorted(read) if not any(map(path.is_relative_to, (here, written)))]
        return tuple(part for mount in outside for part in ("-v", mount))


def convert_command(toolkit: Toolkit, checkpoint: Path, output: Path) -> Command:
    """Turn a checkpoint's tensors into TensorRT-LLM's, unquantised.

    Args:
        toolkit: Whose script.
        checkpoint: Hugging Face directory.
        output: Gets ``config.json`` and ``rank0.safetensors``; logits stay float32, the script's default.

    Returns:
        The command.
    """
    return (
        *("python3", toolkit.convert_script),
        *("--model_dir", str(checkpoint)),
        *("--output_dir", str(output)),
        *("--dtype", "bfloat16"),
    )


def quantize_command(
    toolkit: Toolkit,
    quantization: Quantization,
    precision: Precision,
    checkpoint: Path,
    prompts: Path | None,
    output: Path,
) -> Command:
    """Quantise the weights; the KV cache stays in 16 bits.

    Args:
        toolkit: Whose script.
        quantization: Calibration limits.
        precision: A quantised one.
        checkpoint: Hugging Face directory.
        prompts: Folder with the calibration prompts; None where the precision needs none.
        output: As of `convert_command`.

    Returns:
        The command.
    """
    options: Command = ("--qformat", precision.value)
    if precision is Precision.FP8:
        options += ("--dtype", "bfloat16", "--calib_size", str(quantization.fp8_prompts))
    elif precision is Precision.INT4_AWQ:
        options += ("--awq_block_size", str(quantization.awq_block_size), "--dtype", "float16")
        options += ("--calib_size", str(quantization.int4_awq_prompts))
    else:
        options += ("--dtype", "bfloat16")
    if prompts is not None:
        options += ("--calib_dataset", str(prompts))
        options += ("--calib_max_seq_length", str(quantization.max_prompt_tokens))
    return (
        *("python3", toolkit.quantize_script),
        *("--model_dir", str(checkpoint)),
        *("--output_dir", str(output)),
        *options,
    )


def compile_command(
    toolkit: Toolkit, limits: EngineLimits, precision: Precision, tensors: Path, output: Path
) -> Command:
    """Compile the engine.

    Args:
        toolkit: Whose compiler.
        limits: Bounds of the engine.
        precision: Of the weights in ``tensors``.
        tensors: What `convert_command` or `quantize_command` wrote.
        output: Gets ``config.json`` and ``rank0.engine``.

    Returns:
        The command.
    """
    # The documentation advises against the GEMM plugin for FP8, where TensorRT's own kernels are faster.
    is_fp8 = precision is Precision.FP8
    return (
        toolkit.compiler,
        *("--checkpoint_dir", str(tensors)),
        *("--output_dir", str(output)),
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
        *("--workers", "1"),
    )


def container_options(container: Container) -> Command:
    """Return what every container with Triton or TensorRT-LLM needs.

    Args:
        container: Its limits.

    Returns:
        Options of ``docker run``.
    """
    return (
        *("--gpus", "all"),
        f"--shm-size={container.shm_size}",
        *("--ulimit", "memlock=-1"),
        *("--ulimit", "stack=67108864"),
    )


def in_container(toolkit: Toolkit, container: Container, command: Command, folders: Folders) -> Command:
    """Wrap a command so that it runs in the image, in the same folder and with the same paths.

    Args:
        toolkit: Which image.
        container: Its limits.
        command: What to run there.
        folders: What it reads and writes.

    Returns:
        The command for this machine.
    """
    here = str(Path.cwd())
    return (
        *("docker", "run", "--rm", *container_options(container)),
        *("-v", f"{here}:{here}", *folders.mounts(), "-w", here),
        toolkit.image,
        *command,
    )


def enter_line(toolkit: Toolkit, container: Container, folders: Folders) -> str:
    """Write the shell line that opens the image in the working folder.

    Args:
        toolkit: Which image.
        container: Its limits.
        folders: What is read and written there.

    Returns:
        One line for a POSIX shell.
    """
    options = shlex.join((*container_options(container), *folders.mounts()))
    return f'docker run --rm -it {options} -v "$PWD:$PWD" -w "$PWD" {toolkit.image} bash'


def serve_line(toolkit: Toolkit, container: Container, assembled: Path) -> str:
    """Write the shell line that serves an assembled engine.

    Args:
        toolkit: The image that built it.
        container: Its limits.
        assembled: Folder with ``bundle`` and ``model_repository``.

    Returns:
        One line for a POSIX shell; gRPC on 8001 and metrics on 8002, both on the loopback interface.
    """
    folder = str(assembled) if assembled.is_absolute() else f"$PWD/{assembled}"
    return (
        f"docker run --rm {shlex.join(container_options(container))} -p 127.0.0.1:8001:8001 -p 127.0.0.1:8002:8002 "
        f'-v "{folder}/bundle:{container.bundle_directory}:ro" -v "{folder}/model_repository:/models:ro" '
        f"{toolkit.image} tritonserver --model-repository=/models --model-control-mode=explicit "
        "--load-model=tensorrt_llm --disable-auto-complete-config --allow-http=false"
    )
