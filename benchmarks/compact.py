"""Throughput of compact routers under load, in turns, and how long calls wait while a large policy set is loaded.

Each router is a folder as `model_repository/compact_router`, served by a Triton of its own; parameters of its
config.pbtxt may be given after it. Run by hand; the machine should have nothing else to do.

    python -m benchmarks.compact OLD_FOLDER model_repository/compact_router,worker_count=1
"""

import argparse
import asyncio
import json
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from compact_router.stamp import set_parameter
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient, InferInput

from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton

MODEL = "compact_router"
START_TIMEOUT_S = CALL_TIMEOUT_S = 120.0
ROUTE_COUNT, NEW_ROUTE_COUNT = 15, 256
ROUTE_WORDS, SHORTEST, LONGEST = 12, 4, 22
LOAD_AFTER_S = 0.5
TEXT = (
    "please can you tell me where my parcel is and when it will arrive because the invoice says it was charged twice "
    "and I want the money back"
)
WORDS = tuple(re.findall(r"\w+", TEXT))


@dataclass(frozen=True, slots=True)
class Turn:
    """What the callers of one router saw in their turn.

    Attributes:
        calls_per_s: All of theirs together.
        latencies_ms: Of each call.
        load_s: What loading a new policy set took meanwhile, where one was loaded.
    """

    calls_per_s: float
    latencies_ms: NDArray[np.float64]
    load_s: float | None


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compact", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("routers", nargs="+", metavar="FOLDER[,PARAMETER=VALUE]...", help="routers to compare")
    parser.add_argument("--callers", type=int, default=8, help="calls under way at any time (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each router (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a turn (default: %(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        repositories = {
            each: _repository(each, Path(folder) / str(number)) for number, each in enumerate(given.routers)
        }
        figures = asyncio.run(measure(repositories, given.callers, given.rounds, given.seconds))
    print(json.dumps(figures, indent=2))


async def measure(
    repositories: dict[str, Path], caller_count: int, round_count: int, seconds: float
) -> dict[str, dict[str, float | None]]:
    """Serve all routers, and let callers at one after the other.

    Returns:
        By router the median over the turns of calls a second and of the median and the 99th percentile of their
        latencies, then what a turn in which `NEW_ROUTE_COUNT` new routes were loaded had of them.
    """
    servers = {
        name: EmbeddedTriton(path, (EmbeddedModel(MODEL),), START_TIMEOUT_S) for name, path in repositories.items()
    }
    try:
        for server in servers.values():
            await server.start()
        turns: dict[str, list[Turn]] = {name: [] for name in servers}
        for number in range(round_count + 1):
            for name, server in servers.items():
                turn = await asyncio.to_thread(take_turn, server.endpoint, caller_count, seconds, None)
                if number:  # the first one warms up
                    turns[name].append(turn)
        loading = {
            name: await asyncio.to_thread(take_turn, server.endpoint, caller_count, seconds, NEW_ROUTE_COUNT)
            for name, server in servers.items()
        }
    finally:
        for server in servers.values():
            await server.stop()
            server.close()
    return {name: figures_of(turns[name], loading[name]) for name in servers}


def figures_of(turns: Sequence[Turn], loading: Turn) -> dict[str, float | None]:
    """Put the turns of a router together."""
    of_turns = [(each.calls_per_s, *np.percentile(each.latencies_ms, (50, 99))) for each in turns]
    calls_per_s, p50_ms, p99_ms = (round(float(median), 1) for median in np.median(of_turns, axis=0))
    return {
        "calls_per_s": calls_per_s,
        "p50_ms": p50_ms,
        "p99_ms": p99_ms,
        "slowest_while_loading_ms": round(float(loading.latencies_ms.max()), 1),
        "loading_s": round(loading.load_s, 1) if loading.load_s is not None else None,
    }


def take_turn(endpoint: str, caller_count: int, seconds: float, new_route_count: int | None) -> Turn:
    """Let callers ask for some seconds, each as soon as it has its answer; load a new policy set meanwhile, or none."""
    stop_s = time.perf_counter() + seconds
    routes = make_routes(ROUTE_COUNT, seed=0)
    latencies: list[list[float]] = [[] for _ in range(caller_count)]
    load: list[float] = []

    def ask(seed: int) -> None:
        client, random = InferenceServerClient(endpoint), Random(seed)  # noqa: S311 - reproducible, no secret
        while time.perf_counter() < stop_s:
            latencies[seed].append(_seconds(client, make_conversation(random), routes))

    def load_set(count: int) -> None:
        time.sleep(LOAD_AFTER_S)
        client, random = InferenceServerClient(endpoint), Random(0)  # noqa: S311 - see above
        load.append(_seconds(client, make_conversation(random), make_routes(count, seed=1)))

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(caller_count)]
    if new_route_count is not None:
        threads.append(threading.Thread(target=load_set, args=(new_route_count,)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    all_ms = np.array([1000.0 * each for of_one in latencies for each in of_one], dtype=np.float64)
    return Turn(len(all_ms) / seconds, all_ms, load[0] if load else None)


def make_conversation(random: Random) -> bytes:
    """Draw a conversation, of one message as a rule."""
    roles = random.choice((("user",), ("user",), ("user",), ("user", "assistant", "user")))
    return json.dumps(
        [
            {"role": role, "content": " ".join(random.choices(WORDS, k=random.randint(SHORTEST, LONGEST)))}
            for role in roles
        ]
    ).encode()


def make_routes(count: int, seed: int) -> list[bytes]:
    """Draw routes, others for each seed."""
    random = Random(seed)  # noqa: S311 - see above
    return [
        json.dumps(
            {
                "id": f"route_{seed}_{number}",
                "domain": "shop",
                "action": f"action_{number}",
                "description": " ".join(random.choices(WORDS, k=ROUTE_WORDS)),
            }
        ).encode()
        for number in range(count)
    ]


def _seconds(client: InferenceServerClient, conversation: bytes, routes: Sequence[bytes]) -> float:
    started_s = time.perf_counter()
    tensors = []
    for name, values in (("conversation", [conversation]), ("candidates", routes)):
        array = np.array(values, dtype=np.object_)
        tensors.append(InferInput(name, array.shape, "BYTES"))
        tensors[-1].set_data_from_numpy(array)
    client.infer(MODEL, tensors, client_timeout=CALL_TIMEOUT_S)
    return time.perf_counter() - started_s


def _repository(spec: str, target: Path) -> Path:
    folder, *parameters = spec.split(",")
    shutil.copytree(folder, target / MODEL)
    config = target / MODEL / "config.pbtxt"
    text = config.read_text(encoding="utf-8")
    for each in parameters:
        name, _, value = each.partition("=")
        text = set_parameter(text, name, value)
    config.write_text(text, encoding="utf-8")
    return target


if __name__ == "__main__":
    main()
