"""The load generator, a program in Go: in Python the client would be what is measured."""

import csv
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MODULE = Path(__file__).resolve().parents[2] / "clients" / "go"
SELECT_ROUTE = "/archrouter.v1.RoutingService/SelectRoute"
MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"
OK, REFUSED = "OK", "ResourceExhausted"


@dataclass(frozen=True, slots=True, eq=False)
class Calls:
    """What became of the calls of one run.

    Attributes:
        due_s: When each was to begin, in seconds since the run began, float64 [N].
        durations_s: How long after that it ended, in seconds, float64 [N].
        codes: gRPC status code, in Go's words, text [N].
    """

    due_s: NDArray[np.float64]
    durations_s: NDArray[np.float64]
    codes: NDArray[np.str_]

    def between(self, begin_s: float, end_s: float) -> "Calls":
        """Return the calls that were due in a span of time."""
        chosen = (self.due_s >= begin_s) & (self.due_s < end_s)
        return Calls(self.due_s[chosen], self.durations_s[chosen], self.codes[chosen])

    def of(self, code: str) -> NDArray[np.float64]:
        """Return the durations, in seconds, of the calls that ended with a code."""
        durations_s: NDArray[np.float64] = self.durations_s[self.codes == code]
        return durations_s


@dataclass(frozen=True, slots=True)
class Target:
    """What is called: HOST:PORT, the process that answers there, the method, and a file of encoded requests."""

    address: str
    pid: int
    method: str
    bodies: Path


def build(folder: Path) -> Path:
    """Compile the generator into a folder; CalledProcessError when that fails, with what Go says on standard error."""
    program = folder / "load"
    subprocess.run(["go", "build", "-o", str(program), "./internal/load"], cwd=MODULE, check=True)  # noqa: S607
    return program


def write_bodies(file: Path, bodies: Sequence[bytes]) -> None:
    """Write encoded requests, each behind its length, as the generator reads them."""
    file.write_bytes(b"".join(len(body).to_bytes(4, "big") + body for body in bodies))


def closed_loop(program: Path, target: Target, *, concurrency: int, duration_s: float) -> Calls:
    """Keep so many calls in flight for so many seconds."""
    return _run(program, target, ["-concurrency", str(concurrency), "-for", f"{duration_s}s"])


def open_loop(program: Path, target: Target, *phases: tuple[float, float]) -> Calls:
    """Begin calls at random times, whatever becomes of them: phases of calls a second and seconds."""
    plan = ",".join(f"{rate:.3f}:{duration_s}s" for rate, duration_s in phases)
    return _run(program, target, ["-plan", plan])


def _run(program: Path, target: Target, arguments: Sequence[str]) -> Calls:
    command = [str(program), "-target", target.address, "-method", target.method, "-bodies", str(target.bodies)]
    result = subprocess.run([*command, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    rows = list(csv.reader(result.stdout.splitlines()))
    due_s, durations_s = (np.array([float(row[column]) for row in rows]) for column in (0, 1))
    return Calls(due_s, durations_s, np.array([row[2] for row in rows], dtype=np.str_))
