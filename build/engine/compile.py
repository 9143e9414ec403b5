"""Step compile: the engine, on the GPU model that will serve it; runs in the image."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from archrouter.bundles.manifest import ENGINE_FOLDER
from archrouter.bundles.writer import atomic_directory
from engine.built import GPU_FILE, check_engine, read_engine
from engine.geometry import read_geometry
from engine.image import Image, add_image_options, image_of
from engine.precision import Precision
from engine.program import make_parser, run_program
from engine.runner import Runner, SystemRunner
from engine.toolchain import Folders, compile_command


def compile_engine(image: Image, precision: Precision, checkpoint: Path, tensors: Path, output: Path) -> None:
    """Compile an engine and check what came out.

    Args:
        image: How to reach the compiler.
        precision: Of the weights in ``tensors``.
        checkpoint: Where they come from; its ``config.json`` bounds the sequence length.
        tensors: Output of the step convert or quantize.
        output: Folder to make; gets ``engine/`` and ``gpu.json``; must not exist.

    Raises:
        PipelineError: When this machine lacks something, the compiler fails, or the engine is not what was asked for.
    """
    geometry = read_geometry(checkpoint / "config.json")
    limits = image.settings.engine.capped(geometry.max_positions)
    folders = Folders((tensors,), output.parent)
    gpu = image.require(image.toolkit.compiler, precision, folders)
    with atomic_directory(output) as scratch:
        engine = scratch / ENGINE_FOLDER
        engine.mkdir()  # a container makes folders as root, and this user could not remove one
        image.run(compile_command(image.toolkit, limits, precision, tensors, engine), folders)
        check_engine(read_engine(engine), image.version, limits, geometry)
        (scratch / GPU_FILE).write_text(json.dumps(asdict(gpu), indent=1) + "\n", "utf-8")


def main(arguments: Sequence[str], runner: Runner | None = None) -> int:
    """Run the step.

    Args:
        arguments: Of the command line.
        runner: Starts programs.

    Returns:
        Exit code.
    """
    parser = make_parser(
        "compile",
        "Compile the engine. Needs the image, and the GPU model that will serve it.",
        [
            "--checkpoint Arch-Router-1.5B --tensors out/engine/convert --precision bf16 --output out/engine/compile",
        ],
    )
    parser.add_argument("--checkpoint", required=True, type=Path, help="Hugging Face directory the tensors come from")
    parser.add_argument("--tensors", required=True, type=Path, help="output of the step convert or quantize")
    parser.add_argument("--precision", required=True, choices=[p.value for p in Precision])
    parser.add_argument("--output", required=True, type=Path, help="folder to make; must not exist")
    add_image_options(parser)
    options = parser.parse_args(arguments)
    return run_program(
        "compile",
        lambda: compile_engine(
            image_of(options, runner or SystemRunner(is_foreign=True)),
            Precision(options.precision),
            options.checkpoint,
            options.tensors,
            options.output,
        ),
    )
