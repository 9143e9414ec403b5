"""Runs a command: ``python -m engine COMMAND``."""

import sys
from collections.abc import Sequence
from importlib import import_module

from engine.errors import EXIT_BAD_INPUT, EXIT_DONE

COMMANDS = {
    "build": "from a checkpoint to a verified engine: all steps, going on where it stopped",
    "fetch": "get a checkpoint and check that its parts fit together",
    "prompts": "render routing prompts for the calibration of quantised weights",
    "convert": "turn a checkpoint's weights into TensorRT-LLM's (image, GPU)",
    "quantize": "the same in fewer bits (image, GPU)",
    "compile": "compile the engine (image, GPU)",
    "assemble": "make the bundle and the Triton model repository",
    "schema": "write the JSON schema of a bundle's manifest",
}
"""Summary of each command; its module has its name."""


def main(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name.

    Args:
        arguments: The command's name and what follows it.

    Returns:
        Its exit code; 2 when there is no such command.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return EXIT_DONE if arguments else EXIT_BAD_INPUT
    command, *rest = arguments
    if command not in COMMANDS:
        print(f"there is no command {command!r}\n\n{_help()}", file=sys.stderr)
        return EXIT_BAD_INPUT
    code: int = import_module(f"engine.{command}").main(rest)
    return code


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = "\n".join(f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items())
    return (
        "usage: python -m engine COMMAND ...   (with the folder build on the path)\n\n"
        f"commands:\n{lines}\n\nEach has --help with examples. Steps with programs of their own: probe is "
        "`archrouter bundle build`, verify is `python -m engine.verify`, calibrate is `python -m engine.calibrate`."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
