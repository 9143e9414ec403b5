"""Write ``cli.md``, the reference of every command, from the commands' own help texts.

``--check`` writes nothing and fails when the file is not what would be written.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from archrouter.cli import cli

OUTPUT = Path(__file__).with_name("cli.md")
WIDTH = 100
INTRODUCTION = """\
# Command line

<!-- Written by docs/generate_cli.py from the commands' help texts; do not edit. -->

| exit code | meaning |
| --- | --- |
| 0 | all is well |
| 1 | something was found or failed: findings, cases, calls |
| 2 | the command, a file of it or a setting cannot be used |
| 3 | the service is unreachable or not ready |

Results go to standard output, progress and logs to standard error. With `--json` standard output is one JSON
document. Colours appear on a terminal only; `NO_COLOR` turns them off.
"""


def main() -> int:
    """Write the reference, or check it.

    Returns:
        Exit code: 1 when the check found a difference.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    text = "\n".join([INTRODUCTION, *_sections("", cli)])
    if not parser.parse_args().check:
        OUTPUT.write_text(text, encoding="utf-8")
    elif not OUTPUT.is_file() or OUTPUT.read_text(encoding="utf-8") != text:
        print(f"{OUTPUT.name} is out of date; run: python docs/{Path(__file__).name}", file=sys.stderr)
        return 1
    return 0


def _sections(prefix: str, group: click.Group) -> Iterator[str]:
    for name, command in sorted(group.commands.items()):
        yield _section(prefix + name, command)
        if isinstance(command, click.Group):
            yield from _sections(f"{prefix}{name} ", command)


def _section(name: str, command: click.Command) -> str:
    group = cli.make_context("archrouter", [], resilient_parsing=True, terminal_width=WIDTH, max_content_width=WIDTH)
    context = click.Context(command, parent=group, info_name=name)
    return f"## `archrouter {name}`\n\n```text\n{command.get_help(context)}\n```\n"


if __name__ == "__main__":
    sys.exit(main())
