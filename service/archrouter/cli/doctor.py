"""``archrouter doctor``."""

import asyncio

import click
from rich.table import Table

from archrouter.cli.checkup import diagnose
from archrouter.cli.connection import DEFAULT_TARGET, Connection, target_options
from archrouter.cli.console import print_json, print_table
from archrouter.cli.diagnosis import Diagnosis, Level
from archrouter.cli.doctor_policies import doctor_policies
from archrouter.cli.exits import EXIT_FAILED, EXIT_UNREACHABLE

EPILOG = """\b
Examples:
  archrouter doctor
  archrouter doctor --target router.example:50051 --tls --token-file token --triton triton:8001
  archrouter doctor --watch 45 --json
  archrouter doctor policies examples/policies --embedded
"""
_STYLES = {Level.OK: "green", Level.NOTE: "dim", Level.WARNING: "yellow", Level.ERROR: "red"}


@click.group(
    short_help="Find out what is wrong with a running service.",
    epilog=EPILOG,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND]",
)
@target_options(default=DEFAULT_TARGET)
@click.option("--triton", metavar="HOST:PORT", default="", help="Look at this Triton as well, as seen from here.")
@click.option(
    "--watch",
    "watch_s",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="Hold an idle connection that pings every 10 s for so long; 45 finds out who closes it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON document.")
@click.pass_context
def doctor(context: click.Context, connection: Connection, *, triton: str, watch_s: float, as_json: bool) -> None:
    """Look at a running service as a caller sees it, and say of each finding what to do.

    It looks at the network, TLS and its certificate, health by service name, versions, deadlines, clocks, a sample
    decision by each policy set and, where asked, Triton and idle connections. The sample decisions are real ones: they
    are in the service's metrics and in its decision log. Exit code 0 when all is well, 1 when there are warnings or
    errors, 3 when the service cannot be reached.
    """
    if context.invoked_subcommand is not None:
        return
    found = asyncio.run(_all(connection, triton, watch_s))
    if as_json:
        print_json({"target": connection.target, "findings": [_fields(each) for each in found]})
    else:
        _print(found)
    if any(each.level is Level.ERROR and each.subject in {"network", "tls", "grpc"} for each in found):
        context.exit(EXIT_UNREACHABLE)
    if any(each.level in {Level.WARNING, Level.ERROR} for each in found):
        context.exit(EXIT_FAILED)


doctor.add_command(doctor_policies)


async def _all(connection: Connection, triton: str, watch_s: float) -> list[Diagnosis]:
    options = connection.client_options()
    return [found async for found in diagnose(options, triton=triton, watch_s=watch_s)]


def _fields(found: Diagnosis) -> dict[str, str]:
    return {"subject": found.subject, "level": found.level.value, "seen": found.seen, "remedy": found.remedy}


def _print(found: list[Diagnosis]) -> None:
    table = Table("", "subject", "seen", "remedy", box=None)
    for each in found:
        table.add_row(each.level.value, each.subject, each.seen, each.remedy, style=_STYLES[each.level])
    print_table(table)
