"""Runs a command: ``python -m data COMMAND``."""

import sys
from collections.abc import Sequence
from importlib import import_module

from archrouter.bundles.manifest import BundleError
from archrouter.evaluation.dataset import DatasetError
from data.errors import DataError

COMMANDS = {
    "corpus": ("data.seed_corpus", "make the splits of the seed corpus and their cards from the sources"),
    "augment": ("data.augment.command", "make clean conversations hard, by rules and a seed"),
    "dedup": ("data.dedup", "leave out conversations that are there already, exactly or nearly"),
    "leakage": ("data.leakage", "check that records hold nothing of a benchmark"),
    "sft": ("data.sft", "turn records into samples for supervised fine-tuning"),
    "card": ("data.card", "write the card of a folder of records"),
    "agreement": ("data.agreement", "measure how far two readers agree"),
}
"""Module and summary of each command."""

_BAD_INPUT = 2


def main(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name.

    Returns:
        The exit status: 0, 1 when a check found something, 2 when the input or the command line is wrong.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0 if arguments else _BAD_INPUT
    command, *rest = arguments
    if command not in COMMANDS:
        print(f"there is no command {command!r}\n\n{_help()}", file=sys.stderr)
        return _BAD_INPUT
    try:
        status: int = import_module(COMMANDS[command][0]).main(rest)
    except (DataError, DatasetError, BundleError) as error:
        print(f"{command}: {error}", file=sys.stderr)
        return _BAD_INPUT
    return status


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = "\n".join(f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items())
    return (
        "usage: python -m data COMMAND ...   (with the folder build on the path)\n\n"
        f"commands:\n{lines}\n\nEach has --help with examples. Exit status 0, 1 for a finding, 2 for bad input."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
