"""Kill the embedded Triton under calls: how long the service is without it, and what clients that retry lose."""

import asyncio
import os
import signal
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click
from benchmarks.load.scene import ROOT, running_service
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from archrouter import v1
from archrouter.client import ClientOptions, RoutingClient, RoutingError

DEADLINE_S = 5.0
LOOK_INTERVAL_S = 0.005
REQUEST = v1.SelectRouteRequest(
    messages=[v1.Message(role=v1.Role.ROLE_USER, content="Fix the KeyError in this Python function")],
    policy_set="policySets/llm-gateway",
)


@dataclass(frozen=True, slots=True)
class Round:
    """One death of Triton; times are in seconds after it.

    Attributes:
        lost_s: When health said NOT_SERVING.
        healed_s: When it said SERVING again.
        call_count: Calls that were begun meanwhile and until `DEADLINE_S` after.
        lost_count: Those of them that no attempt was answered.
    """

    lost_s: float
    healed_s: float
    call_count: int
    lost_count: int


@click.command()
@click.option("--rounds", default=5, show_default=True, help="How often it is killed.")
@click.option("--rate", default=20.0, show_default=True, help="Calls a second, each with 5 s and the default retries.")
def main(*, rounds: int, rate: float) -> None:
    """Kill the embedded Triton of a service of its own, round by round."""
    found = []
    with tempfile.TemporaryDirectory(prefix="archrouter-killed-") as name:
        arguments = ("--embedded-enabled", "--embedded-model-repository", str(ROOT / "model_repository"))
        with running_service(Path(name), "127.0.0.1:1", arguments) as (process, address):
            for number in range(1, rounds + 1):
                one = asyncio.run(_round(process.pid, address, rate))
                print(f"{number}: NOT_SERVING {one.lost_s:.3f} s, healed {one.healed_s:.2f} s, {_share(one)}")
                found.append(one)
    healed_s = [one.healed_s for one in found]
    together = Round(0, 0, sum(one.call_count for one in found), sum(one.lost_count for one in found))
    print(f"healed: median {statistics.median(healed_s):.2f} s, most {max(healed_s):.2f} s; {_share(together)}")


def _share(one: Round) -> str:
    return f"lost {one.lost_count} of {one.call_count} calls ({one.lost_count / one.call_count:.1%})"


async def _round(service_pid: int, address: str, rate: float) -> Round:
    options = ClientOptions(address, timeout_s=DEADLINE_S)
    async with aio.insecure_channel(address) as channel, RoutingClient(options) as client:
        await client.select_route(REQUEST)
        started_s = time.monotonic()
        os.kill(_triton_pid(service_pid), signal.SIGKILL)
        healing = asyncio.ensure_future(_watch(channel, started_s))
        calls = []
        while not healing.done() or time.monotonic() < started_s + DEADLINE_S:
            calls.append(asyncio.ensure_future(_is_answered(client)))
            await asyncio.sleep(1 / rate)
        answered = await asyncio.gather(*calls)
        lost_s, healed_s = await healing
    return Round(lost_s, healed_s, len(calls), answered.count(False))


def _triton_pid(service_pid: int) -> int:
    """Find the only child of the service."""
    (pid,) = Path(f"/proc/{service_pid}/task/{service_pid}/children").read_text("ascii").split()
    return int(pid)


async def _watch(channel: aio.Channel, started_s: float) -> tuple[float, float]:
    """Wait until health says NOT_SERVING, and then SERVING."""
    health = health_pb2_grpc.HealthStub(channel)
    times_s = []
    for wanted in (health_pb2.HealthCheckResponse.NOT_SERVING, health_pb2.HealthCheckResponse.SERVING):
        while (await health.Check(health_pb2.HealthCheckRequest())).status != wanted:  # noqa: ASYNC110  # another process
            await asyncio.sleep(LOOK_INTERVAL_S)
        times_s.append(time.monotonic() - started_s)
    return times_s[0], times_s[1]


async def _is_answered(client: RoutingClient) -> bool:
    try:
        await client.select_route(REQUEST)
    except RoutingError:
        return False
    return True


if __name__ == "__main__":
    main()
