"""Step quantize: TensorRT-LLM's weights in fewer bits; runs in the image."""

from collections.abc import Sequence
from pathlib import Path

from archrouter.bundles.writer import atomic_directory
from engine.errors import BadInputError
from engine.image import Image, add_image_options, image_of
from engine.precision import Precision, check_kv_cache
from engine.program import make_parser, run_program
from engine.runner import Runner, SystemRunner
from engine.tensors import check_tensors
from engine.toolchain import Folders, quantize_command


def quantize(image: Image, precision: Precision, checkpoint: Path, prompts: Path | None, output: Path) -> None:
    """Quantise a checkpoint.

    Args:
        image: How to reach the script.
        precision: A quantised one.
        checkpoint: Hugging Face directory.
        prompts: Output of the step prompts; needed with fp8 and int4_awq.
        output: Folder to make; must not exist.

    Raises:
        PipelineError: When an option is refused, this machine lacks something, or the script fails.
    """
    if precision.needs_prompts and prompts is None:
        msg = f"precision {precision.value} is calibrated on prompts; give --prompts, the output of the step prompts"
        raise BadInputError(msg)
    folders = Folders((checkpoint,) if prompts is None else (checkpoint, prompts), output.parent)
    image.require(image.toolkit.quantize_script, precision, folders)
    limits = image.settings.quantization
    with atomic_directory(output) as scratch:
        image.run(quantize_command(image.toolkit, limits, precision, checkpoint, prompts, scratch), folders)
        check_tensors(scratch)


def main(arguments: Sequence[str], runner: Runner | None = None) -> int:
    """Run the step.

    Args:
        arguments: Of the command line.
        runner: Starts programs.

    Returns:
        Exit code.
    """
    parser = make_parser(
        "quantize",
        "Quantise a checkpoint's weights for TensorRT-LLM. Needs the image and a GPU.",
        [
            "--checkpoint Arch-Router-1.5B --precision int8_wo --output out/engine/quantize",
            "--checkpoint Arch-Router-1.5B --precision fp8 --prompts out/engine/prompts --output out/engine/quantize",
        ],
    )
    parser.add_argument("--checkpoint", required=True, type=Path, help="Hugging Face directory")
    parser.add_argument("--precision", required=True, choices=[p.value for p in Precision if p.is_quantized])
    parser.add_argument("--prompts", type=Path, help="output of the step prompts; needed with fp8 and int4_awq")
    parser.add_argument("--kv-cache", default="16bit", choices=("16bit", "fp8", "int8"), help="only 16bit is built")
    parser.add_argument("--output", required=True, type=Path, help="folder to make; must not exist")
    add_image_options(parser)
    options = parser.parse_args(arguments)

    def work() -> None:
        check_kv_cache(options.kv_cache)
        image = image_of(options, runner or SystemRunner(is_foreign=True))
        quantize(image, Precision(options.precision), options.checkpoint, options.prompts, options.output)

    return run_program("quantize", work)
