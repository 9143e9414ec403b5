"""``archrouter ui``."""

import asyncio
import ipaddress
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import click

from archrouter.cli.asking import SERVE_ARGUMENTS
from archrouter.cli.connection import DEFAULT_TARGET, Connection, target_options
from archrouter.cli.console import note
from archrouter.cli.exits import UnusableError, service_errors
from archrouter.cli.policy_paths import EXISTING_FOLDER
from archrouter.client import ClientOptions, RetryOptions
from archrouter.config import split_address

EPILOG = """\b
Examples:
  archrouter ui --embedded --policies examples/policies
  archrouter ui --target 127.0.0.1:50051 --policies policies --reports reports
"""
CALL_TIMEOUT_S = 10.0
_AT_ONCE = RetryOptions(max_attempts=1)  # somebody is watching, and the page asks again by itself


@click.command(short_help="Serve the policy workbench to this machine's browser.", epilog=EPILOG)
@click.option("--policies", type=EXISTING_FOLDER, help="Folder of policy files and suites; with --embedded, to serve.")
@click.option("--reports", type=EXISTING_FOLDER, help="Folder of reports: *.json of doctor and impact, *.html.")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:50080",
    show_default=True,
    help="Where the page is: a loopback address; port 0 takes a free one.",
)
@click.option("--embedded", is_flag=True, help="Start a service for this command, with Triton on this machine's CPU.")
@target_options(timeout_s=CALL_TIMEOUT_S)
def ui(connection: Connection, *, policies: Path | None, reports: Path | None, listen: str) -> None:
    """Serve a page that shows what policies decide while they are written.

    It asks a running service (--target, by default 127.0.0.1:50051) or one of its own (--embedded). Policies go with
    the requests, for which the service needs policies.inline_enabled; no file is ever written. Whoever is logged in on
    this machine can open the page.
    """
    try:
        from archrouter.ui.folders import Folders  # noqa: PLC0415  # needs the extra
        from archrouter.ui.server import page_application, serve_page  # noqa: PLC0415
        from archrouter.ui.service import Service  # noqa: PLC0415
    except ModuleNotFoundError as error:
        msg = f"the page needs the extra 'ui' ({error.name} is missing); install it with: pip install 'archrouter[ui]'"
        raise UnusableError(msg) from error
    if connection.embedded and connection.target:
        msg = "choose the service: --target HOST:PORT for a running one, or --embedded for one of your own"
        raise click.UsageError(msg)
    host, port = _loopback(listen)
    if not connection.embedded:
        connection = replace(connection, target=connection.target or DEFAULT_TARGET)
    else:
        note("starting the service and its Triton server on this machine's CPU …")
    with service_errors(connection.target), connection.service(*SERVE_ARGUMENTS, policies=policies) as options:
        application = page_application(Service(_at_once(options)), Folders(policies, reports))
        with suppress(KeyboardInterrupt):
            try:
                asyncio.run(serve_page(application, host, port, click.echo))
            except OSError as error:
                msg = f"--listen {listen}: {error.strerror}; choose another port, or 0 for a free one"
                raise UnusableError(msg) from error


def _at_once(options: ClientOptions) -> ClientOptions:
    return replace(options, retry=_AT_ONCE)


def _loopback(address: str) -> tuple[str, int]:
    """Read HOST:PORT; a usage error for what other machines could reach."""
    try:
        host, port = split_address(address)
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback, host, port = False, "", 0
    if not is_loopback:
        msg = f"{address!r} is no HOST:PORT of this machine's loopback interface; write 127.0.0.1:50080"
        raise click.BadParameter(msg, param_hint="--listen")
    return host, port
