"""Hold every gateway to one agent's conversation: real gateways, the real service, a stand-in for the models' API.

Each gateway is started as its README says, only with ports of its own. The stand-in answers as a chat API does, with
the name of the model that it was asked for, so that the check sees where each turn went.
"""

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import create_server
from typing import Any

from rich.console import Console
from rich.table import Table

GATEWAYS = Path(__file__).resolve().parent
FALLBACK = "own/default"
KEY = f"sk-{secrets.token_hex(16)}"
"""Of a caller; the LiteLLM proxy does not start without one."""

_READY_S = 120.0
_ROUTE, _SOURCE = "archrouter-route", "archrouter-source"
_DOCUMENT = dict[str, Any]  # Any: JSON of the chat API

TURNS: Sequence[tuple[_DOCUMENT, str]] = (
    ({"role": "user", "content": "Hello!"}, "openai/gpt-4o-mini"),
    (
        {"role": "user", "content": "My script stops with KeyError: 'id'. Find the bug in it and fix it, please."},
        "anthropic/claude-sonnet-4",
    ),
    ({"role": "tool", "tool_call_id": "1", "content": "exit status 1"}, "anthropic/claude-sonnet-4"),
    ({"role": "tool", "tool_call_id": "2", "content": "exit status 0"}, "anthropic/claude-sonnet-4"),
    (
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]},
        "anthropic/claude-sonnet-4",
    ),
    ({"role": "user", "content": "Translate the error message into French."}, "mistral/mistral-large"),
)
"""An agent's turns, and the model of the sample policies that each is meant for."""

CALL = {"id": "1", "type": "function", "function": {"name": "run", "arguments": "{}"}}
"""What the agent's model asks for between the turns."""


class Models(ThreadingHTTPServer):
    """A stand-in for the models' API.

    Attributes:
        down: Models that answer 429.
        asked: Models that were asked for, in order.
    """

    def __init__(self) -> None:
        """Serve on a free port."""
        super().__init__(("127.0.0.1", 0), _Answer)
        self.down: set[str] = set()
        self.asked: list[str] = []


class _Answer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Answer a chat request."""
        assert isinstance(self.server, Models)  # noqa: S101  # for the type checker
        model = json.loads(self.rfile.read(int(self.headers["content-length"])))["model"]
        self.server.asked.append(model)
        is_down = model in self.server.down
        message = {"role": "assistant", "content": model}
        choices = [{"index": 0, "finish_reason": "stop", "message": message}]
        body: _DOCUMENT = {"id": "1", "object": "chat.completion", "created": 0, "model": model, "choices": choices}
        text = json.dumps({"error": {"message": "busy"}} if is_down else body).encode()
        self.send_response(429 if is_down else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Place:
    """Where a gateway runs.

    Attributes:
        port: That it serves on.
        router: Address of the service, ``HOST:PORT``.
        upstream: Port of the models' API.
        scratch: A folder of its own.
    """

    port: int
    router: str
    upstream: int
    scratch: Path


Commands = Sequence[Sequence[str]]


def _go(place: Place) -> Commands:
    _build_go(place)
    options = ["-listen", f"127.0.0.1:{place.port}", "-upstream", f"http://127.0.0.1:{place.upstream}"]
    return [[str(place.scratch / "proxy"), *options, "-router", place.router, "-fallback", FALLBACK]]


def _java(place: Place) -> Commands:
    arguments = f"{place.port} {place.router} http://127.0.0.1:{place.upstream} {FALLBACK}"
    maven = ["mvn", "--quiet", "--batch-mode", "--no-transfer-progress", "-f", str(GATEWAYS / "java")]
    return [[*maven, "compile", "exec:java", f"-Dexec.args={arguments}"]]


def _envoy(place: Place) -> Commands:
    _build_go(place)
    processor = _free_port()
    text = (GATEWAYS / "go" / "extproc" / "envoy.yaml").read_text("utf-8")
    for documented, actual in ((8080, place.port), (50052, processor), (9000, place.upstream)):
        text = text.replace(f"port_value: {documented}", f"port_value: {actual}")
    configuration = place.scratch / "envoy.yaml"
    configuration.write_text(text, "utf-8")
    options = ["-listen", f"127.0.0.1:{processor}", "-router", place.router, "-fallback", FALLBACK]
    envoy = [os.environ["ENVOY"], "--config-path", str(configuration), "--concurrency", "1", "--use-dynamic-base-id"]
    return [[str(place.scratch / "extproc"), *options], envoy]


def _litellm(place: Place) -> Commands:
    folder = place.scratch / "litellm"
    shutil.copytree(GATEWAYS / "litellm", folder)
    configuration = folder / "config.yaml"
    configuration.write_text(configuration.read_text("utf-8").replace(":9000/", f":{place.upstream}/"), "utf-8")
    return [[os.environ["LITELLM"], "--config", str(configuration), "--host", "127.0.0.1", "--port", str(place.port)]]


ALL: Mapping[str, Callable[[Place], Commands]] = {"go": _go, "java": _java, "envoy": _envoy, "litellm": _litellm}
"""The commands that each gateway is started with."""

WALKS = {"go", "java", "litellm"}
"""Those that pass over a model which is overloaded, by themselves."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 when every gateway passes every check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gateways", nargs="*", metavar="GATEWAY", help=f"of {', '.join(ALL)} (default: all)")
    parser.epilog = "environment: SERVER (HOST:PORT of the service with the sample policies), ENVOY, LITELLM (programs)"
    names = parser.parse_args(arguments).gateways or list(ALL)
    router = os.environ["SERVER"]
    results = {name: _check(name, router) for name in names}
    checks = list(dict.fromkeys(check for result in results.values() for check in result))
    table = Table("check", *results)
    for check in checks:
        table.add_row(check, *(_cell(result.get(check)) for result in results.values()))
    Console(width=120).print(table)
    failed = [(name, check, why) for name, result in results.items() for check, why in result.items() if why]
    for name, check, why in failed:
        print(f"{name}: {check}: {why}", file=sys.stderr)
    return 1 if failed else 0


def _cell(why: str | None) -> str:
    return "-" if why is None else "fails" if why else "passes"


def _check(name: str, router: str) -> dict[str, str]:
    """Run the checks against one gateway; the result says for each why it fails, in an empty text that it passes."""
    with _models() as models:
        with _running(name, router, models) as url:
            checks = {
                "an agent's six turns go to the expected models": _agent(url, models),
                "a conversation that cannot be read is refused": _refused(url, models),
            }
            if name in WALKS:
                checks["a model that is overloaded is passed over"] = _passed_over(url, models)
        with _running(name, f"127.0.0.1:{_free_port()}", models) as url:
            checks["its own models answer while the service is away"] = _fails_open(url, models)
    return checks


def _agent(url: str, models: Models) -> str:
    messages: list[_DOCUMENT] = []
    route = ""
    for number, (message, expected) in enumerate(TURNS):
        messages.append(message)
        status, _, headers = _ask(url, messages, route)
        route = headers.get(_ROUTE) or ""
        if (status, models.asked[-1:], headers.get(_SOURCE)) != (200, [expected], "service"):
            return f"turn {number} gave {status} from {models.asked[-1:]} ({headers.get(_SOURCE)}), not {expected}"
        messages.append({"role": "assistant", "content": None, "tool_calls": [CALL]})
    return ""


def _refused(url: str, models: Models) -> str:
    count = len(models.asked)
    status, answer, _ = _ask(url, [{"role": "robot", "content": "beep"}], "")
    if status == 400 and "messages[0].role" in answer and len(models.asked) == count:  # noqa: PLR2004  # Bad Request
        return ""
    return f"{status} {answer}"


def _passed_over(url: str, models: Models) -> str:
    models.down = {"anthropic/claude-sonnet-4"}
    status, _, _ = _ask(url, [TURNS[1][0]], "")
    models.down = set()
    expected = ["anthropic/claude-sonnet-4", "openai/o4-mini"]
    return "" if (status, models.asked[-2:]) == (200, expected) else f"{status} {models.asked[-2:]}"


def _fails_open(url: str, models: Models) -> str:
    status, _, headers = _ask(url, [TURNS[0][0]], "")
    found = (status, models.asked[-1:], headers.get(_SOURCE))
    return "" if found == (200, [FALLBACK], "fallback") else str(found)


def _ask(url: str, messages: Sequence[_DOCUMENT], route: str) -> tuple[int, str, Mapping[str, str]]:
    body = json.dumps({"model": "auto", "messages": messages}).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}", _ROUTE: route}
    request = urllib.request.Request(f"{url}/v1/chat/completions", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read().decode(), {k.lower(): v for k, v in response.headers.items()}
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), {}


@contextmanager
def _models() -> Iterator[Models]:
    with Models() as models:
        threading.Thread(target=models.serve_forever, daemon=True).start()
        yield models
        models.shutdown()


@contextmanager
def _running(name: str, router: str, models: Models) -> Iterator[str]:
    """Run a gateway inside the block; gives its URL once it listens."""
    settings = {"ARCHROUTER_TARGET": router, "ARCHROUTER_FALLBACK": FALLBACK, "UPSTREAM_API_KEY": "none"}
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        log = stack.enter_context((scratch / "log").open("w+"))
        place = Place(_free_port(), router, models.server_address[1], scratch)
        environment = os.environ | settings | {"LITELLM_MASTER_KEY": KEY}
        processes = []
        for command in ALL[name](place):
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=scratch)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            processes.append(process)
        url = f"http://127.0.0.1:{place.port}"
        ends = time.monotonic() + _READY_S
        while not _answers(url):
            if any(process.poll() is not None for process in processes) or time.monotonic() > ends:
                log.seek(0)
                sys.exit(f"{name} did not become ready:\n{log.read()[-4000:]}")
            time.sleep(0.1)
        yield url


def _answers(url: str) -> bool:
    """Whether an HTTP server listens, whatever it thinks of a request that holds nothing."""
    try:
        urllib.request.urlopen(f"{url}/", timeout=5).close()
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        return False
    return True


def _build_go(place: Place) -> None:
    subprocess.run(["go", "build", "-o", f"{place.scratch}/", "./..."], cwd=GATEWAYS / "go", check=True)


def _free_port() -> int:
    with create_server(("127.0.0.1", 0)) as holder:
        return int(holder.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
