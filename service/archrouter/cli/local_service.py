"""A service for the time of one command: the real stack in child processes, gone when the command ends."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from archrouter.inference import guard

START_TIMEOUT_S = 180.0
"""Longer than `embedded.start_timeout_s`, so that the service itself reports what keeps Triton."""

_STOP_TIMEOUT_S = 20.0  # longer than the service's grace for calls and Triton's exit together
_POLL_INTERVAL_S = 0.05
_LOG_TAIL_LINES = 20
_SIGTERM_EXIT_CODE = 128 + signal.SIGTERM

# The service does not start without a policy set; with only inline sets used, this one is never chosen from.
_PLACEHOLDER_POLICY_SET = """\
policy_set: placeholder
models: {none: {model: placeholder}}
fallback: [none]
routes:
  - {id: placeholder, description: Placeholder that no conversation is meant for, models: [none]}
"""


class LocalServiceError(Exception):
    """The local service did not start; the text ends with the tail of its log."""


@contextmanager
def local_service(
    *, policies: Path | None = None, arguments: Sequence[str] = (), start_timeout_s: float = START_TIMEOUT_S
) -> Iterator[str]:
    """Run ``archrouter serve --embedded`` on a free loopback port; yields HOST:PORT once it is ready.

    Its settings come from the environment, as they do for ``serve``; only those that would keep this process out
    (listener, TLS, tokens) or take somebody else's port (metrics) are set here. Without a folder of policies it serves
    a placeholder, for inline policy sets.
    """
    with tempfile.TemporaryDirectory(prefix="archrouter-local-") as directory, _exit_on_sigterm():
        run_directory = Path(directory)
        if policies is None:
            policies = run_directory / "policies"
            policies.mkdir()
            (policies / "placeholder.yaml").write_text(_PLACEHOLDER_POLICY_SET, encoding="utf-8")
        ready_file, log_file = run_directory / "ready.json", run_directory / "service.log"
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-I", guard.__file__, str(os.getpid()), *_command(policies, ready_file, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a terminal's Ctrl-C reaches this process, which then stops the service
            )
        try:
            yield _wait_until_ready(process, ready_file, log_file, start_timeout_s)
        finally:
            _stop(process)


def _command(policies: Path, ready_file: Path, arguments: Sequence[str]) -> list[str]:
    return [
        *(sys.executable, "-m", "archrouter", "serve", "--embedded"),
        *("--policies", str(policies)),
        *("--server-listen", "127.0.0.1:0"),
        *("--server-tls-certificate-file", ""),
        *("--server-tls-private-key-file", ""),
        *("--server-tls-client-ca-file", ""),
        *("--auth-callers-file", ""),
        *("--auth-jwt-jwks", ""),
        *("--metrics-listen", ""),
        *("--logging-format", "json"),
        *("--ready-file", str(ready_file)),
        *arguments,
    ]


def _wait_until_ready(process: "subprocess.Popen[bytes]", ready_file: Path, log_file: Path, timeout_s: float) -> str:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        with suppress(FileNotFoundError):
            text = ready_file.read_text(encoding="utf-8")
            if text.endswith("\n"):  # complete
                return str(json.loads(text)["listen"])
        code = process.poll()
        if code is not None:
            msg = f"the local service ended with exit code {code} before it was ready"
            raise LocalServiceError(_with_log(msg, log_file))
        time.sleep(_POLL_INTERVAL_S)
    msg = f"the local service was not ready within {timeout_s:g} s"
    raise LocalServiceError(_with_log(msg, log_file))


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End the service in order, or, where it does not follow, with everything that is left of its process group."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """Let SIGTERM unwind the stack like Ctrl-C does, instead of ending Python before it could stop the service."""

    def exit_in_order(_signal_number: int, _frame: FrameType | None) -> None:
        sys.exit(_SIGTERM_EXIT_CODE)

    before = signal.signal(signal.SIGTERM, exit_in_order)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _with_log(message: str, log_file: Path) -> str:
    log = log_file.read_text(encoding="utf-8", errors="replace")
    lines = "\n".join(_readable(line) for line in log.splitlines()).splitlines()
    if not lines:
        return f"{message}; it logged nothing"
    return "\n  ".join([f"{message}; the end of its log:", *lines[-_LOG_TAIL_LINES:]])


def _readable(line: str) -> str:
    """Write a log line for people: the event and, with real line ends, its reason. Other lines stay as they are."""
    try:
        record = json.loads(line)
        return f"{record['level']}: {record['event']}: {record['reason']}" if "reason" in record else record["event"]
    except (ValueError, TypeError, KeyError):
        return line
