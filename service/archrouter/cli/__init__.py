"""The command line: one module for each command."""

from importlib.metadata import entry_points

import click

from archrouter.cli.bundle import bundle
from archrouter.cli.calibrate import calibrate
from archrouter.cli.check import check
from archrouter.cli.demo import demo
from archrouter.cli.doctor import doctor
from archrouter.cli.endpoints import endpoints
from archrouter.cli.health import health
from archrouter.cli.impact import impact
from archrouter.cli.importing import import_
from archrouter.cli.learn import learn
from archrouter.cli.reload import reload
from archrouter.cli.route import route
from archrouter.cli.serve import serve
from archrouter.cli.test import test
from archrouter.cli.ui import ui
from archrouter.cli.version import version

__all__ = ["cli", "main"]

ENTRY_POINT_GROUP = "archrouter.commands"
_EXTRAS = {"eval": "evaluation", "compare": "evaluation"}


class _Group(click.Group):
    """The commands of this distribution and those of the extras that are installed."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Look a command up; one of an extra that is missing is a usage error that names the extra."""
        command = super().get_command(ctx, cmd_name)
        if command is None and cmd_name in _EXTRAS:
            extra = _EXTRAS[cmd_name]
            msg = f"{cmd_name!r} needs the extra {extra!r}; install it with: pip install 'archrouter[{extra}]'"
            raise click.UsageError(msg, ctx)
        return command


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog=(
        "Results go to standard output, progress and logs to standard error. Exit codes: 0 all is well, 1 something "
        "was found or failed, 2 the command or a file of it cannot be used, 3 the service is unreachable."
    ),
)
def cli() -> None:
    """Pick, by written policies, which model should answer a conversation."""


for command in (
    serve,
    route,
    health,
    doctor,
    check,
    test,
    import_,
    impact,
    calibrate,
    learn,
    ui,
    reload,
    demo,
    bundle,
    endpoints,
    version,
):
    cli.add_command(command)
for entry_point in entry_points(group=ENTRY_POINT_GROUP):
    cli.add_command(entry_point.load())


def main() -> None:
    """Run the command line and exit with its code."""
    cli.main(prog_name="archrouter")
