"""``archrouter endpoints``."""

import asyncio
import time
from pathlib import Path

import click
from rich.table import Table

from archrouter.bundles.loader import load_bundle
from archrouter.cli.connection import DEFAULT_TARGET, EXISTING_FILE, Connection, target_options
from archrouter.cli.console import note, print_json, print_table
from archrouter.cli.endpoint_switch import reload_by_command, reload_by_signal, switch_endpoints
from archrouter.cli.exits import EXIT_FAILED, FailedError, service_errors
from archrouter.config import TritonSettings
from archrouter.domain.findings import has_errors
from archrouter.inference.endpoint_check import EndpointVerdict, check_endpoints
from archrouter.inference.endpoints_file import load_endpoints
from archrouter.strict_yaml.document import LocatedFinding

GROUP_EPILOG = """\b
Examples:
  archrouter endpoints check endpoints.yaml
  archrouter endpoints switch --help
"""
CHECK_EPILOG = """\b
Examples:
  archrouter endpoints check endpoints.yaml
  archrouter endpoints check --wait 180 --json endpoints.yaml
"""
SWITCH_EPILOG = """\b
Examples:
  archrouter endpoints switch endpoints.yaml --pid 4711
  archrouter endpoints switch endpoints.yaml --reload-command "docker compose kill -s HUP archrouter"
  archrouter endpoints switch endpoints.yaml --target host:50051 --reload-command "kubectl exec router-0 -- kill -HUP 1"
"""
_FILE = click.argument("file", type=EXISTING_FILE)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
_MODEL = click.option(
    "--model",
    default=TritonSettings().engine_model,
    show_default=True,
    metavar="NAME",
    help="Triton model of entries that name none: the service's triton.engine_model.",
)
_WAIT = click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    metavar="SECONDS",
    help="Try endpoints that do not pass again for so long; a TensorRT engine takes about a minute to load.",
)


@click.group(short_help="Check the endpoints of an endpoints file, and switch a service to them.", epilog=GROUP_EPILOG)
def endpoints() -> None:
    """Check the inference servers that an endpoints file lists, and switch a running service to them."""


@endpoints.command(short_help="Check every endpoint of a file.", epilog=CHECK_EPILOG)
@_FILE
@_MODEL
@_WAIT
@_JSON
def check(file: Path, *, model: str, wait_s: float, as_json: bool) -> None:
    """Do to each endpoint of FILE what a service does before it lets one take calls: bundle, model config, one call.

    Exit code 1 when the file cannot be used or an endpoint does not pass.
    """
    verdicts = _verdicts(file, model, wait_s)
    if as_json:
        print_json({"endpoints": [_record(verdict) for verdict in verdicts]})
    else:
        print_table(_table(verdicts))
    if not all(verdict.passed for verdict in verdicts):
        click.get_current_context().exit(EXIT_FAILED)


@endpoints.command(short_help="Switch a service to the endpoints of a file.", epilog=SWITCH_EPILOG)
@_FILE
@click.option("--pid", type=click.IntRange(min=1), help="Process of the service, on this machine; gets SIGHUP.")
@click.option(
    "--reload-command", metavar="COMMAND", help="Command that sends SIGHUP to the service, run without shell."
)
@click.option(
    "--switch-timeout",
    "switch_timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="Time for the service to switch.",
)
@_MODEL
@_WAIT
@target_options(default=DEFAULT_TARGET)
@_JSON
def switch(
    file: Path,
    *,
    pid: int | None,
    reload_command: str | None,
    switch_timeout_s: float,
    model: str,
    wait_s: float,
    connection: Connection,
    as_json: bool,
) -> None:
    """Switch a running service to the endpoints of FILE, which is the file its triton.endpoints_file names.

    Every endpoint is checked first; if one does not pass, the service is not told. Then the service gets SIGHUP, and
    the command waits until every endpoint of the file serves and the service reports their model_version. Exit code 1
    when it does not come to that: then the old endpoints keep serving.
    """
    if (pid is None) == (reload_command is None):
        msg = "say how the service is told: --pid PID or --reload-command COMMAND"
        raise click.UsageError(msg)
    verdicts = _verdicts(file, model, wait_s)
    _refuse_unless_all_passed(verdicts)
    reload = reload_by_signal(pid) if pid is not None else reload_by_command(reload_command or "")
    started_s = time.monotonic()
    with service_errors(connection.target):
        options = connection.client_options()
        served = asyncio.run(switch_endpoints(options, reload, timeout_s=switch_timeout_s))
    duration_s = time.monotonic() - started_s
    versions = {_model_version(verdict) for verdict in verdicts}
    if served not in versions:
        msg = (
            f"{connection.target} decides with {served}, which {file} does not list; is it the file the service reads?"
        )
        raise FailedError(msg)
    if as_json:
        print_json({"model_version": served, "duration_s": duration_s, "endpoints": [_record(one) for one in verdicts]})
    else:
        note(f"{connection.target} decides with {served} on {len(verdicts)} endpoints, after {duration_s:.1f} s")


def _verdicts(file: Path, model: str, wait_s: float) -> tuple[EndpointVerdict, ...]:
    listed = load_endpoints(file, model, load_bundle)
    for finding in listed.findings:
        note(str(LocatedFinding(file, finding)))
    if has_errors(listed.findings):
        msg = f"{file} cannot be used; the findings are above"
        raise FailedError(msg)
    return asyncio.run(check_endpoints(listed.endpoints, timeout_s=TritonSettings().warm_up_timeout_s, wait_s=wait_s))


def _refuse_unless_all_passed(verdicts: tuple[EndpointVerdict, ...]) -> None:
    refused = [verdict for verdict in verdicts if not verdict.passed]
    if refused:
        lines = "".join(f"\n  {verdict.endpoint.name}: {verdict.reason}" for verdict in refused)
        msg = f"nothing was switched: {len(refused)} of {len(verdicts)} endpoints do not pass:{lines}"
        raise FailedError(msg)


def _record(verdict: EndpointVerdict) -> dict[str, object]:
    return {
        "endpoint": verdict.endpoint.address,
        "model": verdict.endpoint.model,
        "model_version": _model_version(verdict),
        "passed": verdict.passed,
        "reason": verdict.reason,
    }


def _table(verdicts: tuple[EndpointVerdict, ...]) -> Table:
    table = Table("endpoint", "model_version", "verdict")
    for verdict in verdicts:
        table.add_row(verdict.endpoint.name, _model_version(verdict), verdict.reason or "passed")
    return table


def _model_version(verdict: EndpointVerdict) -> str:
    profile = verdict.endpoint.profile
    return profile.model_version if profile else ""
