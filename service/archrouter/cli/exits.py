"""How commands end: the exit codes, and the errors that lead to them."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
import grpc

from archrouter.cli.local_service import LocalServiceError
from archrouter.client import RoutingError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3

_REMEDIES = {
    "ERROR_REASON_INLINE_POLICY_DISABLED": "start the service with --policies-inline-enabled",
    "ERROR_REASON_DEFAULT_POLICY_SET_MISSING": "name one with --policy-set, or start the service with one as default",
    "ERROR_REASON_CREDENTIALS_INVALID": "send your token, --token-file, or your certificate, --tls-cert and --tls-key",
}


class FailedError(click.ClickException):
    """The service refused what the command asked."""

    exit_code = EXIT_FAILED


class UnusableError(click.ClickException):
    """A file or a setting that the command was given cannot be used."""

    exit_code = EXIT_USAGE


class UnreachableError(click.ClickException):
    """No service answers."""

    exit_code = EXIT_UNREACHABLE


@contextmanager
def service_errors(target: str) -> Iterator[None]:
    """End the command with one clear line when the service at `target` is unreachable or refuses the call."""
    try:
        yield
    except LocalServiceError as error:
        raise UnreachableError(str(error)) from error
    except RoutingError as error:
        expired = error.code is grpc.StatusCode.DEADLINE_EXCEEDED
        if error.code is grpc.StatusCode.UNAVAILABLE or (expired and not error.reason):  # not a word of the service
            msg = f"{target} does not answer: {error.message}; is the service running there?"
            raise UnreachableError(msg) from error
        remedy = f"; {_REMEDIES[error.reason]}" if error.reason in _REMEDIES else ""
        decision_id = f" (decision {error.decision_id})" if error.decision_id else ""
        msg = f"{error.reason or error.code.name}: {error.message}{remedy}{decision_id}"
        raise FailedError(msg) from error
