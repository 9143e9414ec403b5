"""The parts of the benchmark. Each returns plain values that JSON can hold; times are in seconds."""

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from benchmarks.load.generator import OK, REFUSED, Calls, Target, closed_loop, open_loop
from benchmarks.load.scene import Scene, UsageLog, processor_s
from numpy.typing import NDArray

from archrouter.policy_files.directory import PolicyDirectory

HTTP2_OPENING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""The preface and an empty SETTINGS frame (RFC 9113, section 3.4)."""

Document = dict[str, Any]  # Any: JSON
RECOVERY_S = 5.0
WARM_UP_SHARE = 0.1
"""Of a run, before memory is compared."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long each part takes, in seconds, and how often it is done."""

    rounds: int = 6
    turn_s: float = 3.0
    concurrency: int = 4
    half_s: float = 20.0
    twice_s: float = 60.0
    soak_s: float = 600.0
    swap_count: int = 100
    swap_interval_s: float = 0.3
    idle_count: int = 10_000


def summary(durations_s: NDArray[np.float64]) -> Document:
    """Count, median, p90 and p99 of durations; None where there is none."""
    if not len(durations_s):
        return {"count": 0, "median_s": None, "p90_s": None, "p99_s": None}
    median_s, p90_s, p99_s = np.percentile(durations_s, (50, 90, 99))
    return {"count": len(durations_s), "median_s": median_s, "p90_s": p90_s, "p99_s": p99_s}


async def turns(scene: Scene, plan: Plan, _capacity: float) -> Document:
    """Ask Triton, the relay and the service in turns, one call at a time and several: a busy moment hits all."""
    targets = {"bare": scene.bare, "relay": scene.relay, "service": scene.service.target}
    alone: dict[str, list[Calls]] = {name: [] for name in targets}
    rates: dict[str, list[float]] = {name: [] for name in targets}
    costs_s: dict[str, list[float]] = {name: [] for name in targets}
    for target in targets.values():
        await _closed(scene, target, plan.concurrency, plan.turn_s)  # warm-up
    for number in range(plan.rounds):
        for name in sorted(targets, reverse=bool(number % 2)):
            alone[name].append(await _closed(scene, targets[name], 1, plan.turn_s))
            before_s = processor_s(targets[name].pid)
            count = len((await _closed(scene, targets[name], plan.concurrency, plan.turn_s)).of(OK))
            costs_s[name].append((processor_s(targets[name].pid) - before_s) / count)
            rates[name].append(count / plan.turn_s)
    figures = {name: summary(np.concatenate([calls.of(OK) for calls in alone[name]])) for name in targets}
    throughput = {name: float(np.median(rates[name])) for name in targets}
    return {
        "latency": figures,
        "throughput_per_s": throughput,
        "rates_per_s": rates,
        "processor_s": {name: float(np.median(costs_s[name])) for name in targets},
        "ratios": {name: _ratios(figures, throughput, name) for name in targets if name != "bare"},
    }


def _ratios(figures: Mapping[str, Document], throughput: Mapping[str, float], name: str) -> Document:
    """Hold a target against the bare call."""
    own, bare = figures[name], figures["bare"]
    return {
        "median": own["median_s"] / bare["median_s"],
        "p99": own["p99_s"] / bare["p99_s"],
        "throughput": throughput[name] / throughput["bare"],
    }


async def half(scene: Scene, plan: Plan, capacity: float) -> Document:
    """Half of what the service can do, at random times."""
    calls = await _open(scene, (capacity / 2, plan.half_s))
    return {"rate_per_s": capacity / 2, **_codes(calls), **summary(calls.of(OK)), "cdf": _cdf(calls.of(OK))}


async def twice(scene: Scene, plan: Plan, capacity: float) -> Document:
    """Twice of what it can do, and half of it at once afterwards."""
    log = UsageLog(scene.service, 1.0)
    calls = await _watched(log, _open(scene, (2 * capacity, plan.twice_s), (capacity / 2, RECOVERY_S)))
    overload, after = calls.between(0, plan.twice_s), calls.between(plan.twice_s, plan.twice_s + RECOVERY_S)
    refused_later = after.due_s[after.codes != OK] - plan.twice_s
    accepted = overload.of(OK)
    return {
        "rate_per_s": 2 * capacity,
        **_codes(overload),
        "accepted": summary(accepted),
        "cdf": _cdf(accepted),
        "refused": summary(overload.of(REFUSED)),
        "goodput_ratio": len(accepted) / plan.twice_s / capacity,
        "recovery_s": float(refused_later.max()) if len(refused_later) else 0.0,
        "after": summary(after.between(plan.twice_s + 1.0, plan.twice_s + RECOVERY_S).of(OK)),
        "usage": _usage(log),
        "timeline": _timeline(calls),
    }


async def idle(scene: Scene, plan: Plan, _capacity: float) -> Document:
    """Thousands of connections on which nothing is said, and one that asks."""
    before, quiet = scene.service.usage(), await _closed(scene, scene.service.target, 1, plan.turn_s)
    host, _, port = scene.service.target.address.rpartition(":")
    with ExitStack() as connections:
        for _ in range(plan.idle_count):
            connection = connections.enter_context(socket.create_connection((host, int(port))))
            connection.sendall(HTTP2_OPENING)
        await asyncio.sleep(plan.turn_s)
        beside, held = await _closed(scene, scene.service.target, 1, plan.turn_s), scene.service.usage()
    await asyncio.sleep(plan.turn_s)
    return {
        "connection_count": plan.idle_count,
        "bytes_each": (held.resident_bytes - before.resident_bytes) / plan.idle_count,
        "files_held": held.file_count - before.file_count,
        "files_left": scene.service.usage().file_count - before.file_count,
        "quiet": summary(quiet.of(OK)),
        "beside": summary(beside.of(OK)),
    }


async def soak(scene: Scene, plan: Plan, capacity: float) -> Document:
    """Half load for long: what grows would be seen."""
    log = UsageLog(scene.service, max(1.0, plan.soak_s / 100))
    calls = await _watched(log, _open(scene, (capacity / 2, plan.soak_s)))
    return {"rate_per_s": capacity / 2, **_codes(calls), **summary(calls.of(OK)), "usage": _usage(log)}


async def reloads(scene: Scene, plan: Plan, capacity: float) -> Document:
    """Half load without and with the policy folder swapped, as a ConfigMap is: by renaming a symbolic link."""
    duration_s = plan.swap_count * plan.swap_interval_s
    quiet = await _open(scene, (capacity / 2, duration_s))
    swapping = asyncio.create_task(_swap(scene, plan))
    calls = await _open(scene, (capacity / 2, duration_s))
    await swapping
    figures, before = summary(calls.of(OK)), summary(quiet.of(OK))
    return {
        "swap_count": plan.swap_count,
        **_codes(calls),
        **figures,
        "quiet": before,
        "p99_ratio": figures["p99_s"] / before["p99_s"],
    }


PARTS: dict[str, Callable[[Scene, Plan, float], Awaitable[Document]]] = {
    "turns": turns,
    "half": half,
    "twice": twice,
    "reloads": reloads,
    "idle": idle,
    "soak": soak,
}


async def _swap(scene: Scene, plan: Plan) -> None:
    link = scene.service.policies
    other = link.with_name("policies-1")
    shutil.copytree(link.resolve(), other, dirs_exist_ok=True)
    for file in other.glob("*.yaml"):
        file.write_text(file.read_text("utf-8").replace("description: ", "description: Once more, ", 1), "utf-8")
    if PolicyDirectory(other).load().rejected:  # a swap to what is refused would cost next to nothing
        msg = f"{other} cannot be served; change the wording above"
        raise ValueError(msg)
    for number in range(plan.swap_count):
        fresh = link.with_name("fresh")
        fresh.symlink_to(f"policies-{(number + 1) % 2}")
        fresh.rename(link)
        os.kill(scene.service.target.pid, signal.SIGHUP)  # also where the folder is not watched
        await asyncio.sleep(plan.swap_interval_s)


async def _closed(scene: Scene, target: Target, concurrency: int, duration_s: float) -> Calls:
    return await asyncio.to_thread(closed_loop, scene.generator, target, concurrency=concurrency, duration_s=duration_s)


async def _open(scene: Scene, *phases: tuple[float, float]) -> Calls:
    return await asyncio.to_thread(open_loop, scene.generator, scene.service.target, *phases)


async def _watched(log: UsageLog, work: Awaitable[Calls]) -> Calls:
    watch = asyncio.create_task(log.run())
    try:
        return await work
    finally:
        watch.cancel()


def _codes(calls: Calls) -> Document:
    names, counts = np.unique(calls.codes, return_counts=True)
    return {"codes": {str(name): int(count) for name, count in zip(names, counts, strict=True)}}


def _cdf(durations_s: NDArray[np.float64]) -> Document:
    """Durations at percentiles, for the picture."""
    percentiles = [*range(1, 100), 99.5, 99.9]
    return {"percentiles": percentiles, "durations_s": np.percentile(durations_s, percentiles).tolist()}


def _timeline(calls: Calls) -> list[Document]:
    """Second by second: what was accepted, what refused, and how long the slowest percent took."""
    rows = []
    for second in range(int(calls.due_s.max()) + 1):
        span = calls.between(second, second + 1)
        accepted, refused = summary(span.of(OK)), len(span.of(REFUSED))
        rows.append({"second": second, "accepted": accepted["count"], "refused": refused, "p99_s": accepted["p99_s"]})
    return rows


def _usage(log: UsageLog) -> Document:
    """Memory, files and threads after a warm-up and at the end, and what they grew by."""
    warm = log.samples[int(len(log.samples) * WARM_UP_SHARE)][1]
    last = log.samples[-1][1]
    return {
        "warm": asdict(warm),
        "last": asdict(last),
        "resident_growth_ratio": last.resident_bytes / warm.resident_bytes - 1.0,
        "samples": [[time_s, asdict(usage)] for time_s, usage in log.samples],
    }
