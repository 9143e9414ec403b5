"""Runs a command: ``python -m engine COMMAND``."""

import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "build": "from a checkpoint to a verified TensorRT engine: all steps, or with --plan their exact commands",
    "assemble": "make the bundle and the Triton model repository of a compiled TensorRT engine",
    "schema": "write the JSON schema of a bundle's manifest",
}
"""Summary of each command; its module has its name."""


def main(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name and return its exit code; 2 when there is no such command."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0 if arguments else 2
    command, *rest = arguments
    if command not in COMMANDS:
        print(f"there is no command {command!r}\n\n{_help()}", file=sys.stderr)
        return 2
    code: int = import_module(f"engine.{command}").main(rest)
    return code


def _help() -> str:
    lines = "\n".join(f"  {name:<8}  {summary}" for name, summary in COMMANDS.items())
    return (
        "usage: python -m engine COMMAND ...   (with the folder build on the path)\n\n"
        f"commands:\n{lines}\n\nEach has --help with examples. `python -m engine.verify` and "
        "`python -m engine.calibrate` are programs of their own."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
