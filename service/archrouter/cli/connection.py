"""The options that say which service a command talks to."""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from archrouter.cli.local_service import local_service
from archrouter.client import ClientOptions, TlsOptions
from archrouter.config import CLIENT_TOKEN_ENV

DEFAULT_TARGET = "127.0.0.1:50051"
CALL_TIMEOUT_S = 30.0
"""Of commands that ask for many decisions, over a service of their own or a busy one."""

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

# Any: click hands a command whatever its decorators declare.
Command = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach the service.

    `target` is HOST:PORT, empty when none was given; `embedded` starts a service for the command; `timeout_s` is the
    deadline of each call; without `tls` the channel is plaintext; an empty `token` is not sent.
    """

    target: str
    embedded: bool
    timeout_s: float
    tls: TlsOptions | None
    token: str

    def client_options(self) -> ClientOptions:
        """Describe a client of the given target; a usage error when the options contradict each other."""
        try:
            return ClientOptions(self.target, timeout_s=self.timeout_s, tls=self.tls, bearer_token=self.token)
        except ValueError as error:
            raise click.UsageError(str(error)) from error

    @contextmanager
    def service(self, *serve_arguments: str, policies: Path | None = None) -> Iterator[ClientOptions]:
        """Give a service to talk to; one that is started for the command ends with the block.

        `serve_arguments` and `policies`, None for inline policy sets, are for a service that is started here.
        """
        if not self.embedded:
            yield self.client_options()
            return
        with local_service(policies=policies, arguments=serve_arguments) as target:
            yield ClientOptions(target, timeout_s=self.timeout_s)


def target_options(*, default: str = "", timeout_s: float = 5.0) -> Callable[[Command], Command]:
    """Add the options of a service that is already running; the command gets a `Connection` as ``connection``."""

    def decorate(command: Command) -> Command:
        # Any: see Command.
        @functools.wraps(command)
        def with_connection(
            *arguments: Any,  # noqa: ANN401
            target: str,
            timeout_s: float,
            tls: bool,
            tls_ca: Path | None,
            tls_cert: Path | None,
            tls_key: Path | None,
            token_file: Path | None,
            embedded: bool = False,
            **options: Any,  # noqa: ANN401
        ) -> Any:  # noqa: ANN401
            connection = Connection(
                target, embedded, timeout_s, _tls_options(tls, tls_ca, tls_cert, tls_key), _token(token_file)
            )
            return command(*arguments, connection=connection, **options)

        command_with_options: Command = with_connection
        for option in reversed(_target_flags(default, timeout_s)):
            command_with_options = option(command_with_options)
        return command_with_options

    return decorate


def _tls_options(tls: bool, ca: Path | None, cert: Path | None, key: Path | None) -> TlsOptions | None:  # noqa: FBT001  # a flag of the command line
    """Read the files; a usage error when a certificate comes without its key."""
    if bool(cert) != bool(key):
        msg = "--tls-cert and --tls-key belong together; give both or none"
        raise click.UsageError(msg)
    if not (tls or ca or cert):
        return None
    return TlsOptions(*(file.read_bytes() if file else None for file in (ca, cert, key)))


def _token(token_file: Path | None) -> str:
    """Take the token out of its file, else of the environment: on the command line other users could read it."""
    if token_file is not None:
        return token_file.read_text(encoding="utf-8").strip()
    return os.environ.get(CLIENT_TOKEN_ENV, "").strip()


def _target_flags(default: str, timeout_s: float) -> tuple[Callable[[Command], Command], ...]:
    return (
        click.option("--target", metavar="HOST:PORT", default=default, show_default=bool(default), help="The service."),
        click.option(
            "--timeout",
            "timeout_s",
            type=click.FloatRange(min=0, min_open=True),
            default=timeout_s,
            show_default=True,
            metavar="SECONDS",
            help="Deadline of each call.",
        ),
        click.option("--tls", is_flag=True, help="Connect by TLS, trusting the usual authorities."),
        click.option("--tls-ca", type=EXISTING_FILE, help="Connect by TLS, trusting the authority in this PEM file."),
        click.option("--tls-cert", type=EXISTING_FILE, help="Show the certificate in this PEM file."),
        click.option("--tls-key", type=EXISTING_FILE, help="PEM file with the private key of that certificate."),
        click.option(
            "--token-file",
            type=EXISTING_FILE,
            help=f"Send the bearer token in this file, else that in ${CLIENT_TOKEN_ENV}.",
        ),
    )


def service_options(*, timeout_s: float = CALL_TIMEOUT_S) -> Callable[[Command], Command]:
    """Add the options of a service that runs already or is started for the command: one of the two must be chosen."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def checked(*arguments: Any, connection: Connection, **options: Any) -> Any:  # noqa: ANN401  # see Command
            if connection.embedded == bool(connection.target):
                msg = "choose the service: --target HOST:PORT for a running one, or --embedded for one of your own"
                raise click.UsageError(msg)
            return command(*arguments, connection=connection, **options)

        embedded = click.option(
            "--embedded", is_flag=True, help="Start a service for this command, with Triton on this machine's CPU."
        )
        return embedded(target_options(timeout_s=timeout_s)(checked))

    return decorate
