"""What is measured: one Triton with the compact router, a relay and the service over it, the same questions for all."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.load.generator import MODEL_INFER, SELECT_ROUTE, Target, build, write_bodies

from archrouter import v1
from archrouter.domain.conversation import Conversation, Message, Role
from archrouter.domain.scoring import ScoringRequest
from archrouter.inference.compact import CompactBackend
from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton
from archrouter.inference.tensors import Tensor
from archrouter.inference.triton_client import NamedArray, Outputs, TritonClient, inference_request
from archrouter.policy_files.policies import load_policy_set

ROOT = Path(__file__).resolve().parents[2]
CONVERSATIONS = ROOT / "benchmarks" / "data" / "test" / "ops-desk.jsonl"
POLICIES = ROOT / "examples" / "policies"
POLICY_SET = "llm-gateway"
MODEL = "compact_router"
QUESTION_COUNT = 64
START_TIMEOUT_S = 180.0

_ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT}
_WIRE_ROLES = {Role.USER: v1.Role.ROLE_USER, Role.ASSISTANT: v1.Role.ROLE_ASSISTANT}


@dataclass(frozen=True, slots=True)
class Usage:
    """What the service's process holds at a moment: resident bytes, open files, threads."""

    resident_bytes: int
    file_count: int
    thread_count: int


@dataclass(slots=True)
class Service:
    """The service as a process.

    Attributes:
        target: How to ask it.
        policies: Symbolic link to the folder of policies that it reads.
    """

    target: Target
    policies: Path

    def usage(self) -> Usage:
        """Look at the process."""
        process = Path(f"/proc/{self.target.pid}")
        pages = int((process / "statm").read_text().split()[1])
        return Usage(
            pages * os.sysconf("SC_PAGE_SIZE"),
            len(list((process / "fd").iterdir())),
            len(list((process / "task").iterdir())),
        )


@dataclass(slots=True)
class Scene:
    """Everything that is running, and the generator.

    Attributes:
        generator: The compiled program.
        bare: How to ask Triton itself.
        relay: How to ask it through a process that only passes bytes on.
        service: The service over it.
    """

    generator: Path
    bare: Target
    relay: Target
    service: Service


class _Recorder(TritonClient):
    """A connection that keeps what it sends, as the bytes of the call."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint, max_concurrent_requests=1)
        self.bodies: list[bytes] = []

    async def infer(
        self, model: str, inputs: Sequence[NamedArray], outputs: Sequence[Tensor], *, timeout_s: float
    ) -> Outputs:
        request = inference_request(model, inputs, outputs)
        self.bodies.append(request.SerializeToString())
        return await super().infer(model, inputs, outputs, timeout_s=timeout_s)


@asynccontextmanager
async def running_scene(arguments: Sequence[str]) -> AsyncIterator[Scene]:
    """Start Triton and the service, the latter with further arguments of ``archrouter serve``, and stop both."""
    with tempfile.TemporaryDirectory(prefix="archrouter-load-") as name:
        folder = Path(name)
        generator = build(folder)
        triton = EmbeddedTriton(ROOT / "model_repository", (EmbeddedModel(MODEL),), START_TIMEOUT_S)
        await triton.start()
        try:
            conversations = read_conversations()
            bare = Target(triton.endpoint, triton.pid or 0, MODEL_INFER, folder / "bare")
            write_bodies(bare.bodies, await _bare_bodies(triton.endpoint, conversations))
            with (
                running_relay(triton.endpoint) as (passing_on, relay_address),
                running_service(folder, triton.endpoint, arguments) as (process, address),
            ):
                relay = replace(bare, address=relay_address, pid=passing_on.pid)
                target = Target(address, process.pid, SELECT_ROUTE, folder / "service")
                write_bodies(target.bodies, [_request(messages) for messages in conversations])
                yield Scene(generator, bare, relay, Service(target, folder / "policies"))
        finally:
            await triton.stop()
            triton.close()


def read_conversations() -> list[tuple[Message, ...]]:
    """Read the first conversations of the benchmark's test data, each up to its last user message."""
    lines = CONVERSATIONS.read_text("utf-8").splitlines()[:QUESTION_COUNT]
    conversations = []
    for line in lines:
        messages = [Message(_ROLES[one["role"]], one["content"]) for one in json.loads(line)["messages"]]
        while messages[-1].role is not Role.USER:
            messages.pop()
        conversations.append(tuple(messages))
    return conversations


def _request(messages: tuple[Message, ...]) -> bytes:
    wire = [v1.Message(role=_WIRE_ROLES[message.role], content=message.content) for message in messages]
    return v1.SelectRouteRequest(messages=wire, policy_set=f"policySets/{POLICY_SET}").SerializeToString()


async def _bare_bodies(endpoint: str, conversations: Sequence[tuple[Message, ...]]) -> list[bytes]:
    """Have the service's own code write the calls to Triton that the conversations lead to."""
    policy_set, findings = load_policy_set((POLICIES / f"{POLICY_SET}.yaml").read_text("utf-8"))
    if policy_set is None:
        msg = f"the sample policies cannot be used: {findings}"
        raise ValueError(msg)
    recorder = _Recorder(endpoint)
    backend = CompactBackend(recorder, MODEL)
    await backend.warm_up(timeout_s=START_TIMEOUT_S)
    await backend.prepare(policy_set)
    recorder.bodies.clear()
    for messages in conversations:
        question = ScoringRequest(policy_set, Conversation.from_messages(messages))
        await backend.score(question, timeout_s=START_TIMEOUT_S)
    await backend.close()
    return recorder.bodies


def processor_s(pid: int) -> float:
    """Tell how long a process, and those of the group that it leads, have computed so far, in seconds."""
    processes = [each for each in Path("/proc").glob("[0-9]*") if pid in (int(each.name), _group(int(each.name)))]
    times = [task.read_text() for each in processes for task in each.glob("task/*/schedstat")]
    return sum(int(text.split()[0]) for text in times) / 1e9


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:  # it has ended since it was listed
        return 0


@contextmanager
def running_relay(triton_endpoint: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a relay before Triton; give it and its address."""
    command = [sys.executable, "-m", "benchmarks.load.relay", triton_endpoint]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = process.stdout.readline().strip() if process.stdout else ""
            yield process, f"127.0.0.1:{port}"
        finally:
            process.terminate()


@contextmanager
def running_service(
    folder: Path, triton_endpoint: str, arguments: Sequence[str]
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run the service in a folder, with further arguments of ``archrouter serve``; give it, ready, and its address."""
    ready, log = folder / "ready.json", folder / "service.log"
    shutil.copytree(POLICIES, folder / "policies-0")
    (folder / "policies").symlink_to("policies-0")
    command = [
        *(sys.executable, "-m", "archrouter", "serve", "--policies", str(folder / "policies")),
        *("--server-listen", "127.0.0.1:0", "--ready-file", str(ready), "--triton-endpoint", triton_endpoint),
        *("--logging-format", "json", *arguments),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        ends_s = time.monotonic() + START_TIMEOUT_S
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > ends_s:
                msg = f"the service did not become ready:\n{log.read_text()[-4000:]}"
                raise RuntimeError(msg)
            time.sleep(0.1)
        yield process, str(json.loads(ready.read_text())["listen"])
    finally:
        process.terminate()
        process.wait()


@dataclass(slots=True)
class UsageLog:
    """Looks at the service now and then while something else runs.

    Attributes:
        samples: Seconds since the first look, and what it showed.
    """

    service: Service
    interval_s: float
    samples: list[tuple[float, Usage]] = field(default_factory=list)

    async def run(self) -> None:
        """Look until cancelled."""
        started_s = time.monotonic()
        while True:
            self.samples.append((time.monotonic() - started_s, self.service.usage()))
            await asyncio.sleep(self.interval_s)
