"""``archrouter demo``."""

import asyncio
from pathlib import Path

import click
from rich import box
from rich.table import Table
from rich.text import Text

from archrouter.cli.connection import CALL_TIMEOUT_S, EXISTING_FILE, Connection
from archrouter.cli.console import note, print_table
from archrouter.cli.exits import EXIT_FAILED, UnusableError, service_errors
from archrouter.cli.policy_paths import EXISTING_FOLDER
from archrouter.client import ClientOptions, RoutingClient
from archrouter.domain.policy import NO_MATCH_ID
from archrouter.domain.suite import Suite
from archrouter.policy_files.directory import read_suite_file
from archrouter.strict_yaml.document import LocatedFinding
from archrouter.suites.calls import Failure
from archrouter.suites.run import CaseResult, outcome_name, run_suite
from archrouter.workbench.formats import percent, shortened

EPILOG = """\b
Examples:
  archrouter demo
  archrouter demo --bundle bundles/arch-router
  archrouter demo --policies my/policies --conversations my/policies/support_test.yaml
"""
_MESSAGE_CHARACTERS = 44


@click.command(short_help="Route sample conversations through the whole stack.", epilog=EPILOG)
@click.option(
    "--conversations",
    type=EXISTING_FILE,
    default=Path("examples/demo/conversations.yaml"),
    show_default=True,
    help="Conversations to route, in the format of a policy suite.",
)
@click.option(
    "--policies",
    type=EXISTING_FOLDER,
    default=Path("examples/policies"),
    show_default=True,
    help="Folder of the policy files to route by.",
)
@click.option(
    "--bundle",
    type=EXISTING_FOLDER,
    help="Let the language model of this prompt bundle decide instead of the compact router.",
)
def demo(conversations: Path, policies: Path, bundle: Path | None) -> None:
    """Route real conversations through the whole stack on this machine's CPU, and leave nothing running.

    Starts the service with the Triton server of the nvidia-pytriton wheel, calls it by gRPC one conversation at a
    time, and shows what it decided. Exit code 0 when every call succeeded.
    """
    document = read_suite_file(conversations)
    if document.content is None:
        lines = "".join(f"\n  {LocatedFinding(conversations, finding)}" for finding in document.findings)
        msg = f"the conversations cannot be used:{lines}"
        raise UnusableError(msg)
    arguments = ("--routing-mode", "engine", "--triton-bundle-directory", str(bundle)) if bundle else ()
    connection = Connection(target="", embedded=True, timeout_s=CALL_TIMEOUT_S, tls=None, token="")
    note("starting the service and its Triton server on this machine's CPU …")
    with service_errors("the local service"), connection.service(*arguments, policies=policies) as options:
        note(f"ready on {options.target}")
        results = asyncio.run(_run(options, document.content))
    print_table(_table(results))
    passed_count = sum(result.passed for result in results)
    click.echo(f"{passed_count} of {len(results)} conversations were routed as their author expected.")
    failed_count = sum(isinstance(result.answer, Failure) for result in results)
    if failed_count:
        note(f"{failed_count} of {len(results)} calls failed")
        click.get_current_context().exit(EXIT_FAILED)


async def _run(options: ClientOptions, suite: Suite) -> tuple[CaseResult, ...]:
    async with RoutingClient(options) as client:
        return await run_suite(client, suite, concurrency=1)


def _table(results: tuple[CaseResult, ...]) -> Table:
    table = Table(box=box.SIMPLE)
    table.add_column("latest user message", no_wrap=True)
    table.add_column("route")
    table.add_column("confidence", justify="right")
    table.add_column("first model")
    table.add_column("outcome")
    table.add_column("ms", justify="right")
    for result in results:
        message = shortened(result.case.messages[-1].content, _MESSAGE_CHARACTERS)
        if isinstance(result.answer, Failure):
            table.add_row(message, Text(result.actual, style="red"), "", "", "", "")
            continue
        decision = result.answer.decision
        route = Text(decision.route_id or NO_MATCH_ID, style="green" if result.passed else "yellow")
        if not result.passed:
            route.append(f"\nexpected {result.expected}", style="dim")
        table.add_row(
            message,
            route,
            percent(decision.confidence),
            decision.models[0].model,
            outcome_name(decision.outcome),
            f"{result.answer.duration_s * 1000:.0f}",
        )
    return table
