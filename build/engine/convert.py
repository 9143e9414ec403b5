"""Step convert: TensorRT-LLM's own names and layout for the weights, unquantised; runs in the image."""

from collections.abc import Sequence
from pathlib import Path

from archrouter.bundles.writer import atomic_directory
from engine.image import Image, add_image_options, image_of
from engine.precision import Precision
from engine.program import make_parser, run_program
from engine.runner import Runner, SystemRunner
from engine.tensors import check_tensors
from engine.toolchain import Folders, convert_command


def convert(image: Image, checkpoint: Path, output: Path) -> None:
    """Convert a checkpoint.

    Args:
        image: How to reach the script.
        checkpoint: Hugging Face directory.
        output: Folder to make; must not exist.

    Raises:
        PipelineError: When this machine lacks something, or the script fails.
    """
    folders = Folders((checkpoint,), output.parent)
    image.require(image.toolkit.convert_script, Precision.BF16, folders)
    with atomic_directory(output) as scratch:
        image.run(convert_command(image.toolkit, checkpoint, scratch), folders)
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
        "convert",
        "Turn a checkpoint's weights into TensorRT-LLM's, as bfloat16. Needs the image and a GPU.",
        [
            "--checkpoint Arch-Router-1.5B --output out/engine/convert",
            "--checkpoint Arch-Router-1.5B --output out/engine/convert --container docker",
        ],
    )
    parser.add_argument("--checkpoint", required=True, type=Path, help="Hugging Face directory")
    parser.add_argument("--output", required=True, type=Path, help="folder to make; must not exist")
    add_image_options(parser)
    options = parser.parse_args(arguments)
    return run_program(
        "convert",
        lambda: convert(image_of(options, runner or SystemRunner(is_foreign=True)), options.checkpoint, options.output),
    )
