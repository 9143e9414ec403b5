"""The command line: one module for each command."""

import click

from archrouter.cli.bundle import bundle
from archrouter.cli.check import check
from archrouter.cli.compare import compare_runs
from archrouter.cli.demo import demo
from archrouter.cli.endpoints import endpoints
from archrouter.cli.eval import evaluate
from archrouter.cli.health import health
from archrouter.cli.route import route
from archrouter.cli.serve import serve
from archrouter.cli.test import test
from archrouter.cli.version import version

__all__ = ["cli", "main"]


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog=(
        "Results go to standard output, progress and logs to standard error. Exit codes: 0 all is well, 1 something "
        "was found or failed, 2 the command or a file of it cannot be used, 3 the service is unreachable."
    ),
)
def cli() -> None:
    """Pick, by written policies, which model should answer a conversation."""


for command in (serve, route, health, check, test, evaluate, compare_runs, demo, bundle, endpoints, version):
    cli.add_command(command)


def main() -> None:
    """Run the command line and exit with its code."""
    cli.main(prog_name="archrouter")
