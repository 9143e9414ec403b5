"""Hold every client to the vectors of this folder, and print which client passes which.

Each language has a runner: a program that is told the addresses of the servers and the folder of the vectors, and
prints one JSON document a vector. Here the servers are started: the real service on the embedded Triton, a server that
fails by script, in plaintext and by TLS, and a port on which nothing listens.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from rich.console import Console
from rich.table import Table
from scripted_server import scripted_server

VECTORS = Path(__file__).resolve().parent
CLIENTS = VECTORS.parent
ROOT = CLIENTS.parent
RUNNERS: Mapping[str, tuple[Path, Sequence[str]]] = {
    "go": (CLIENTS / "go", ("go", "run", "./internal/conformance")),
    "typescript": (CLIENTS / "typescript", ("npm", "run", "--silent", "conformance")),
    "java": (CLIENTS / "java", ("conformance/run",)),
    "python": (VECTORS, (sys.executable, "python_runner.py")),
}
_READY_S = 180.0
_RUNNER_S = 300.0
_DOCUMENT = dict[str, Any]  # Any: a vector is a JSON document


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Without the program's name; None takes the process's own.

    Returns:
        Exit status: 0, or 1 when a vector fails.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("languages", nargs="*", metavar="LANGUAGE", help=f"of {', '.join(RUNNERS)} (default: all)")
    parser.add_argument("--table", type=Path, help="Markdown file whose table of the vectors is brought up to date")
    parser.add_argument(
        "--then",
        metavar="PROGRAM",
        action="append",
        default=[],
        help="run this too, with the embedded server's address in $SERVER; may be given several times",
    )
    options = parser.parse_args(arguments)
    languages = options.languages or list(RUNNERS)
    vectors = read_vectors()
    results: dict[str, dict[str, str]] = {}
    with embedded_server() as embedded:
        for language in languages:
            results[language] = _run(language, vectors, embedded)
        environment = os.environ | {"SERVER": embedded}
        failures = [subprocess.run([program], env=environment, check=False).returncode for program in options.then]
    _print(vectors, results)
    if options.table:
        _write_table(options.table, vectors, results)
    failed = [(name, language) for language in languages for name, why in results[language].items() if why]
    print(f"{len(vectors) * len(languages) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or any(failures) else 0


def read_vectors() -> list[_DOCUMENT]:
    """Read the vectors of every file, in the files' order."""
    return [vector for path in sorted(VECTORS.glob("*.json")) for vector in json.loads(path.read_text("utf-8"))]


@contextmanager
def embedded_server() -> Iterator[str]:
    """Serve the sample policies inside the block.

    Yields:
        The address, ``HOST:PORT``.

    Raises:
        SystemExit: When the service does not become ready; its log is printed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        ready, log = Path(scratch, "ready"), Path(scratch, "log")
        command = [
            *(sys.executable, "-m", "archrouter", "serve", "--embedded", "--server-listen", "127.0.0.1:0"),
            *("--policies", "examples/policies", "--policies-default", "llm-gateway", "--ready-file", str(ready)),
        ]
        with log.open("w") as output:
            process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
        try:
            ends = time.monotonic() + _READY_S
            while not (ready.exists() and ready.read_text().endswith("\n")):
                if process.poll() is not None or time.monotonic() > ends:
                    sys.exit(f"the service did not become ready:\n{log.read_text()[-4000:]}")
                time.sleep(0.1)
            yield str(json.loads(ready.read_text())["listen"])
        finally:
            process.terminate()
            process.wait()


def _run(language: str, vectors: Sequence[_DOCUMENT], embedded: str) -> dict[str, str]:
    """Run one runner; the result says for each vector why it fails, in an empty text that it passes."""
    folder, command = RUNNERS[language]
    with scripted_server(vectors) as scripted, _closed_port() as dead, _secured_servers(vectors) as secured:
        servers = {"EMBEDDED": embedded, "SCRIPTED": scripted, "DEAD": dead, "VECTORS": str(VECTORS), **secured}
        environment = os.environ | {f"CONFORMANCE_{name}": value for name, value in servers.items()}
        result = subprocess.run(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, timeout=_RUNNER_S, check=False
        )
    reports = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    reasons = {report["name"]: report["why"] for report in reports}
    return {vector["name"]: reasons.get(vector["name"], "the runner says nothing") for vector in vectors}


@contextmanager
def _secured_servers(vectors: Sequence[_DOCUMENT]) -> Iterator[Mapping[str, str]]:
    """Serve the scripts over TLS, with and without asking for a certificate, which lies in a folder for clients."""
    sys.path.append(str(ROOT))
    from tests.support.certificates import Authority  # noqa: PLC0415  # not on the path of a program in this folder

    authority = Authority()
    server, client = authority.server(), authority.certify(dns=["gateway.example"])
    pairs = [(server.key, server.chain)]
    tls = grpc.ssl_server_credentials(pairs)
    mutual = grpc.ssl_server_credentials(pairs, authority.pem, require_client_auth=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        scripted_server(vectors, tls) as of_tls,
        scripted_server(vectors, mutual) as of_mutual,
    ):
        for name, content in {"authority": authority.pem, "certificate": client.chain, "key": client.key}.items():
            Path(folder, f"{name}.pem").write_bytes(content)
        yield {"TLS": of_tls, "MUTUAL": of_mutual, "CERTIFICATES": folder}


@contextmanager
def _closed_port() -> Iterator[str]:
    """Hold a port that refuses connections, so that nobody else listens on it."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{holder.getsockname()[1]}"


def _print(vectors: Sequence[_DOCUMENT], results: Mapping[str, Mapping[str, str]]) -> None:
    table = Table("vector", *results)
    for vector in vectors:
        table.add_row(vector["name"], *("fails" if of[vector["name"]] else "passes" for of in results.values()))
    Console(width=120).print(table)
    for language, reasons in results.items():
        for name, why in reasons.items():
            if why:
                print(f"{language}: {name}: {why}", file=sys.stderr)


def _write_table(file: Path, vectors: Sequence[_DOCUMENT], results: Mapping[str, Mapping[str, str]]) -> None:
    """Replace the file's table, which starts with the head of its first column."""
    rows = [["vector", "what holds", *results], ["---"] * (2 + len(results))]
    for vector in vectors:
        passes = ["fails" if of[vector["name"]] else "passes" for of in results.values()]
        rows.append([f"`{vector['name']}`", vector["does"], *passes])
    before, _, rest = file.read_text("utf-8").partition("| vector |")
    _, _, after = rest.partition("\n\n")
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    file.write_text(f"{before}{table}\n\n{after}", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
