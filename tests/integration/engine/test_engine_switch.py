"""An upgrade without downtime: two Tritons with two sets of weights, and a service under load that switches."""

import asyncio
import json
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from tests.support.service_runs import ServiceProcess, service_process

from archrouter import v1
from archrouter.bundles.builder import REFERENCE_MODEL
from archrouter.bundles.loader import PromptBundle, load_bundle
from archrouter.bundles.manifest import MANIFEST_FILE, digest_of_file
from archrouter.client import ClientOptions, RetryOptions, RoutingClient
from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton
from archrouter.rpc.health import ENDPOINTS_SERVICE, WHOLE_SERVER

START_TIMEOUT_S = 60.0
CALLERS = 4
NORM = b"model.layers.4.final_norm_layernorm.weight.bfloat16"
ONE_STEP_OF_THE_EXPONENT = 0x80
"""Of a bfloat16: less it halves a number."""

QUESTION = v1.SelectRouteRequest(
    messages=[v1.Message(role=v1.Role.ROLE_USER, content="two tickets for the plane to tokyo")]
)


def halve_the_logits(model: Path) -> None:
    """Halve the weights of the last norm, so that every logit is half of what it was: other weights, same tokens."""
    content = bytearray(model.read_bytes())
    start = content.rindex(NORM, 0, content.index(b"lm_head.MatMul.weight.bfloat16J")) + len(NORM) + 3
    norm = np.frombuffer(content[start : start + 256], np.uint16) - ONE_STEP_OF_THE_EXPONENT
    content[start : start + 256] = norm.tobytes()
    model.write_bytes(content)


@pytest.fixture(scope="session")
def green(bundle: PromptBundle, tmp_path_factory: pytest.TempPathFactory) -> PromptBundle:
    """Make a bundle of other weights."""
    directory = tmp_path_factory.mktemp("bundles") / "green"
    shutil.copytree(bundle.directory, directory)
    halve_the_logits(directory / "model" / "model.onnx")
    manifest = json.loads((directory / MANIFEST_FILE).read_text())
    manifest["files"]["model/model.onnx"] = digest_of_file(directory / "model" / "model.onnx")
    (directory / MANIFEST_FILE).write_text(json.dumps(manifest))
    return load_bundle(directory)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def green_endpoint(root: Path, green: PromptBundle) -> AsyncIterator[str]:
    """Serve the other weights from a Triton of their own."""
    parameters = {"model_directory": str(green.model_directory), "model_version": green.profile.model_version}
    models = (EmbeddedModel(REFERENCE_MODEL, parameters),)
    triton = EmbeddedTriton(root / "model_repository", models, START_TIMEOUT_S)
    await triton.start()
    yield triton.endpoint
    await triton.stop()
    triton.close()


def write_endpoints(file: Path, *endpoints: tuple[str, PromptBundle]) -> None:
    """Write an endpoints file as an operator would: whole, and moved into place."""
    lines = [f"  - {{endpoint: '{endpoint}', bundle: '{bundle.directory}'}}" for endpoint, bundle in endpoints]
    scratch = file.with_suffix(".new")
    scratch.write_text("\n".join(["endpoints:", *lines, ""]))
    scratch.rename(file)


@dataclass
class Running(ServiceProcess):
    """A service process and its endpoints file."""

    endpoints_file: Path

    async def switch(self) -> tuple[int, str, str]:
        """Run the command that switches the service; give exit code, output and messages."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "archrouter", "endpoints", "switch", str(self.endpoints_file), "--json"),
            *("--pid", str(self.process.pid), "--target", self.address, "--model", REFERENCE_MODEL),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, messages = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode(), messages.decode()


@pytest_asyncio.fixture
async def service(root: Path, tmp_path: Path, engine_endpoint: str, bundle: PromptBundle) -> AsyncIterator[Running]:
    """Give a ready service whose endpoints file lists the first endpoint, blue."""
    endpoints_file = tmp_path / "endpoints.yaml"
    write_endpoints(endpoints_file, (engine_endpoint, bundle))
    async with service_process(
        tmp_path,
        *("--policies", str(root / "examples" / "toy" / "policies"), "--routing-mode", "engine"),
        *("--triton-endpoints-file", str(endpoints_file), "--triton-engine-model", REFERENCE_MODEL),
    ) as one:
        yield Running(**vars(one), endpoints_file=endpoints_file)
    assert 0 == one.process.returncode


@dataclass(frozen=True)
class Answer:
    """What one call got, and when it was made."""

    start_s: float
    model_version: str
    confidence: float


@dataclass
class Load:
    """Callers that ask one question after the other without retries; a failed call ends the test."""

    target: str
    answers: list[Answer] = field(default_factory=list)
    stopped: bool = False

    async def call(self) -> None:
        """Ask until stopped."""
        loop = asyncio.get_running_loop()
        options = ClientOptions(self.target, timeout_s=20, retry=RetryOptions(max_attempts=1))
        async with RoutingClient(options) as client:
            while not self.stopped:
                start_s = loop.time()
                decision = (await client.select_route(QUESTION)).decision
                self.answers.append(Answer(start_s, decision.model_version, round(decision.confidence, 4)))

    async def more(self, count: int) -> float:
        """Wait for so many further answers, and give the time."""
        wanted = len(self.answers) + count
        async with asyncio.timeout(START_TIMEOUT_S):
            while len(self.answers) < wanted:
                await asyncio.sleep(0.005)
        return asyncio.get_running_loop().time()


@asynccontextmanager
async def load_on(target: str) -> AsyncIterator[Load]:
    """Keep a service busy."""
    load = Load(target)
    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(load.call())
        yield load
        load.stopped = True


def versions(answers: Iterable[Answer]) -> set[str]:
    """List who decided."""
    return {answer.model_version for answer in answers}


async def test_a_switch_under_load_fails_no_call_and_names_who_decided(
    service: Running, bundle: PromptBundle, green: PromptBundle, green_endpoint: str
) -> None:
    """Blue decides before, green after, and each decision is that of the weights it names."""
    blue_version, green_version = bundle.profile.model_version, green.profile.model_version
    async with load_on(service.address) as load:
        begin_s = await load.more(20)
        write_endpoints(service.endpoints_file, (green_endpoint, green))
        code, output, messages = await service.switch()
        end_s = asyncio.get_running_loop().time()
        await load.more(20)
        drained, *_ = await service.logged("endpoint_closed")

    assert 0 == code, messages
    assert green_version == json.loads(output)["model_version"]
    assert blue_version == drained["model_version"]
    assert {blue_version} == versions(answer for answer in load.answers if answer.start_s < begin_s)
    assert {green_version} == versions(answer for answer in load.answers if answer.start_s > end_s)
    confidences = {(answer.model_version, answer.confidence) for answer in load.answers}
    assert 2 == len(confidences), confidences
    assert 2 == len({confidence for _, confidence in confidences})
    assert await service.is_serving(ENDPOINTS_SERVICE)


async def test_a_wrong_engine_in_the_new_list_leaves_the_old_one_serving(
    service: Running, bundle: PromptBundle, green: PromptBundle, green_endpoint: str
) -> None:
    """Green's server with blue's bundle: the command does not switch, and a service that is told refuses."""
    async with load_on(service.address) as load:
        await load.more(10)
        write_endpoints(service.endpoints_file, (green_endpoint, bundle))
        code, _, messages = await service.switch()
        service.process.send_signal(signal.SIGHUP)
        refused, *_ = await service.logged("endpoint_refused")
        rejected, *_ = await service.logged("endpoints_rejected")
        await load.more(10)
        health = await service.is_serving(WHOLE_SERVER), await service.is_serving(ENDPOINTS_SERVICE)

    mismatch = f"it serves {green.profile.model_version}, the bundle is {bundle.profile.model_version}"
    assert 1 == code
    assert "nothing was switched: 1 of 1 endpoints do not pass" in messages
    assert mismatch in messages
    assert mismatch in str(refused["reason"])
    assert "no new endpoint of the list passed its checks" == rejected["reason"]
    assert {bundle.profile.model_version} == versions(load.answers)
    assert (True, False) == health


async def test_a_broken_file_leaves_the_old_engine_serving_and_a_good_one_mends_it(
    service: Running, engine_endpoint: str, bundle: PromptBundle, green: PromptBundle, green_endpoint: str
) -> None:
    """The log names the place; the next switch works as if nothing had been, also to a list with both."""
    async with load_on(service.address) as load:
        service.endpoints_file.write_text("endpoints:\n  - {endpont: a:1, bundle: b}\n")
        service.process.send_signal(signal.SIGHUP)
        finding, *_ = await service.logged("endpoints_file_rejected")
        broken = await service.is_serving(ENDPOINTS_SERVICE)
        await load.more(10)
        decided_while_broken = versions(load.answers)
        write_endpoints(service.endpoints_file, (engine_endpoint, bundle), (green_endpoint, green))
        code, _, messages = await service.switch()
        await load.more(20)

    assert (2, 6) == (finding["line"], finding["column"])
    assert "did you mean 'endpoint'?" in str(finding["reason"])
    assert not broken
    assert {bundle.profile.model_version} == decided_while_broken
    assert 0 == code, messages
    assert {bundle.profile.model_version, green.profile.model_version} == versions(load.answers[-20:])
