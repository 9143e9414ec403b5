"""``archrouter serve``."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import click
import structlog

from archrouter.cli.console import note
from archrouter.cli.exits import UnusableError
from archrouter.config import Settings
from archrouter.config_sources import (
    DEFAULT_SOURCE,
    SettingKey,
    SettingsError,
    load_settings,
    setting_keys,
    setting_sources,
)
from archrouter.observability.logging import configure_logging

EPILOG = """\b
Examples:
  archrouter serve --embedded --policies examples/policies
  archrouter serve --config archrouter.yaml --server-listen 0.0.0.0:50051 --auth-callers-file callers
  ARCHROUTER_TRITON_ENDPOINT=triton:8001 archrouter serve --policies /etc/archrouter/policies

A flag overrides the environment, which overrides the configuration file, which overrides the default.
"""
SHORTHANDS = {"embedded.enabled": "--embedded", "policies.directory": "--policies"}
_ALL_INTERFACES = frozenset({"", "0.0.0.0", "[::]", "*"})  # noqa: S104  # compared, not bound
HINTS = """\
Once "service_ready" is logged, call the service from another terminal:
  archrouter route --target {target} {policy_set}"my import job dies, what's wrong?"
  archrouter version --target {target}
  grpcurl -plaintext -d '{request}' {target} archrouter.v1.RoutingService/SelectRoute
"""


def _add_setting_options(command: Callable[..., None]) -> Callable[..., None]:
    for key in reversed(setting_keys()):  # decorators apply from the inside out; --help lists them in order
        command = _setting_option(key)(command)
    return command


def _setting_option(key: SettingKey) -> Callable[[Callable[..., None]], Callable[..., None]]:
    flags = [key.flag, *([SHORTHANDS[key.key]] if key.key in SHORTHANDS else [])]
    text = f"{key.field.description} [{key.env}; default: {key.default or 'empty'}]"
    if key.is_switch:
        names = [f"{flag}/{flag.replace('--', '--no-', 1)}" for flag in flags]
        return click.option(_parameter(key), *names, default=None, help=text)
    return click.option(_parameter(key), *flags, default=None, metavar="VALUE", help=text)


def _parameter(key: SettingKey) -> str:
    return f"{key.section}__{key.name}"


@click.command(short_help="Serve decisions over gRPC.", epilog=EPILOG)
@click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML file of settings: a mapping for each section.",
)
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that gets one JSON line with the address once the service is ready.",
)
@click.option("--hints", is_flag=True, help="Say first how to call the service.")
@_add_setting_options
def serve(*, config_file: Path | None, ready_file: Path | None, hints: bool, **values: object) -> None:
    """Serve decisions until SIGTERM or Ctrl-C."""
    flags: dict[str, dict[str, object]] = {}
    for key in setting_keys():
        value = values[_parameter(key)]
        if value is not None:
            flags.setdefault(key.section, {})[key.name] = value
    try:
        settings = load_settings(flags, config_file, os.environ)
        sources = setting_sources(flags, config_file, os.environ)
    except SettingsError as error:
        raise UnusableError(_listed(error.problems)) from error
    configure_logging(settings.logging.format, settings.logging.level, sys.stderr)
    given = {key: source for key, source in sources.items() if source != DEFAULT_SOURCE}
    structlog.get_logger(__name__).info("settings_loaded", sources=given)
    if hints:
        note(_hints(settings))
    from archrouter.app import serve as run_service  # noqa: PLC0415  # half of all import time; no other command needs it

    sys.exit(run_service(settings, ready_file=ready_file))


def _listed(problems: tuple[str, ...]) -> str:
    return problems[0] if len(problems) == 1 else "".join(f"\n  {problem}" for problem in problems)


def _hints(settings: Settings) -> str:
    host, _, port = settings.server.listen.rpartition(":")
    target = f"127.0.0.1:{port}" if host in _ALL_INTERFACES else settings.server.listen
    request: dict[str, object] = {"messages": [{"role": "ROLE_USER", "content": "my import job dies"}]}
    if not settings.policies.default:
        request["policySet"] = "policySets/POLICY_SET"
    policy_set = "" if settings.policies.default else "--policy-set POLICY_SET "
    return HINTS.format(target=target, policy_set=policy_set, request=json.dumps(request))
