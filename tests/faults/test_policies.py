"""Policies that change, break and vanish under a running service, over a real Triton and real sockets."""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from grpc import aio
from tests.support.config_map import mount_config_map
from tests.support.served_policies import Running, is_stale, revision_of, serving

from archrouter.app.service import StartError
from archrouter.config import PoliciesSettings

SWAP_COUNT = 100
CALLER_COUNT = 4

_TEXT = """\
policy_set: {name}
models: {{coder: {{model: "{model}"}}, general: {{model: vendor/general}}}}
fallback: [general]
routes:
  - {{id: code_repair, description: "Finding and repairing errors in code", models: [coder]}}
  - {{id: translation, description: "Translating text from one language into another", models: [general]}}
"""


def policy_text(model: str, name: str = "live") -> str:
    """Write a policy file whose first route has this model, so that an answer tells which revision gave it."""
    return _TEXT.format(name=name, model=model)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a mounted ConfigMap with one policy file."""
    path = tmp_path / "policies"
    path.mkdir()
    mount_config_map(path, {"live.yaml": policy_text("vendor/0")})
    return path


@dataclass
class Load:
    """Calls without pause, and what came of them."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    async def caller(self, service: Running) -> None:
        """Call until cancelled."""
        while True:
            try:
                decision = await service.decide()
            except aio.AioRpcError as error:
                self.failures.append(f"{error.code()}: {error.details()}")
            else:
                self.answers[decision.policy_set_revision, decision.models[0].model] += 1


@asynccontextmanager
async def under_load(service: Running) -> AsyncIterator[Load]:
    """Have callers call for the time of the block."""
    load = Load()
    callers = [asyncio.create_task(load.caller(service)) for _ in range(CALLER_COUNT)]
    try:
        yield load
    finally:
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)


def expected_answers(texts: Iterator[str]) -> set[tuple[str, str]]:
    """List the revision and model that belong together."""
    return {(revision_of(text), str(text.split('model: "')[1].split('"')[0])) for text in texts}


async def test_link_swaps_under_load_fail_no_call_and_mix_no_revision(
    triton_endpoint: str, folder: Path, tmp_path: Path
) -> None:
    """A hundred new revisions by kubelet's way: in each answer model and revision belong together."""
    texts = [policy_text(f"vendor/{index}") for index in range(SWAP_COUNT + 1)]
    policies = PoliciesSettings(directory=str(folder), watch_interval_s=0.2)

    async with serving(triton_endpoint, policies, tmp_path) as service, under_load(service) as load:
        for text in texts[1:]:
            mount_config_map(folder, {"live.yaml": text})
            await service.reload()  # the watch sees each swap too, but waits until the folder has come to rest
        last = await service.decide()

    assert [] == load.failures
    assert revision_of(texts[-1]) == last.policy_set_revision
    assert load.answers.keys() <= expected_answers(iter(texts))
    assert len(load.answers) > SWAP_COUNT / 2


async def test_a_broken_file_under_load_keeps_the_last_good_revision_until_it_is_mended(
    triton_endpoint: str, folder: Path, tmp_path: Path
) -> None:
    """Not one call fails; the warning comes and goes with the broken file."""
    policies = PoliciesSettings(directory=str(folder), watch_interval_s=0.2)

    async with serving(triton_endpoint, policies, tmp_path) as service, under_load(service) as load:
        mount_config_map(folder, {"live.yaml": policy_text("vendor/1").replace("routes:", "routes: [")})
        broken = await service.warns(stale=True)
        mount_config_map(folder, {"live.yaml": policy_text("vendor/2")})
        mended = await service.serves(policy_text("vendor/2"))

    assert [] == load.failures
    assert revision_of(policy_text("vendor/0")) == broken.policy_set_revision
    assert not is_stale(mended)
    assert load.answers.keys() <= expected_answers(policy_text(f"vendor/{index}") for index in (0, 2))


async def test_a_folder_that_is_deleted_or_emptied_keeps_what_served(
    triton_endpoint: str, folder: Path, tmp_path: Path
) -> None:
    """A volume that went away is no wish to route nothing."""
    policies = PoliciesSettings(directory=str(folder), watch_interval_s=0.2)

    async with serving(triton_endpoint, policies, tmp_path) as service:
        shutil.rmtree(folder)
        deleted = await service.warns(stale=True)
        folder.mkdir()
        mount_config_map(folder, {"live.yaml": policy_text("vendor/1")})
        await service.serves(policy_text("vendor/1"))
        (folder / "live.yaml").unlink()
        emptied = await service.warns(stale=True)

    assert revision_of(policy_text("vendor/0")) == deleted.policy_set_revision
    assert revision_of(policy_text("vendor/1")) == emptied.policy_set_revision


async def test_a_broken_file_does_not_keep_a_service_from_starting_again(
    triton_endpoint: str, folder: Path, tmp_path: Path
) -> None:
    """With a folder for its copies a restart serves the last good revision, with a warning; without one it refuses."""
    text = policy_text("vendor/0")
    with_state = PoliciesSettings(directory=str(folder), state_directory=str(tmp_path / "state"))
    async with serving(triton_endpoint, with_state, tmp_path) as service:
        await service.serves(text)
    mount_config_map(folder, {"live.yaml": "policy_set: live\nroutes: []\n"})

    async with serving(triton_endpoint, with_state, tmp_path) as service:
        decision = await service.decide()
    with pytest.raises(StartError):
        async with serving(triton_endpoint, PoliciesSettings(directory=str(folder)), tmp_path):
            pass

    assert (True, revision_of(text)) == (is_stale(decision), decision.policy_set_revision)


async def test_a_request_may_be_pinned_to_an_earlier_revision(
    triton_endpoint: str, folder: Path, tmp_path: Path
) -> None:
    """The kept revision decides with its own models; one that is kept no more is not found."""
    texts = [policy_text(f"vendor/{index}") for index in range(3)]
    policies = PoliciesSettings(directory=str(folder), watch_interval_s=0.2, kept_revisions=1)

    async with serving(triton_endpoint, policies, tmp_path) as service:
        for text in texts[1:]:
            mount_config_map(folder, {"live.yaml": text})
            await service.serves(text)
        kept = await service.decide(policy_set_revision=revision_of(texts[1]))
        with pytest.raises(aio.AioRpcError) as caught:
            await service.decide(policy_set_revision=revision_of(texts[0]))

    assert (revision_of(texts[1]), "vendor/1") == (kept.policy_set_revision, kept.models[0].model)
    assert "NOT_FOUND" == caught.value.code().name
    assert revision_of(texts[2]) in str(caught.value.details())


async def test_an_operator_on_the_machine_reloads_without_a_token(
    triton_endpoint: str, folder: Path, tmp_path: Path
) -> None:
    """ReloadPolicySets tells what changed, also where nothing watches the folder."""
    policies = PoliciesSettings(directory=str(folder), watch_enabled=False)

    async with serving(triton_endpoint, policies, tmp_path) as service:
        mount_config_map(folder, {"live.yaml": policy_text("vendor/1"), "new.yaml": policy_text("vendor/1", "new")})
        response = await service.reload()

    assert [("policySets/live", True), ("policySets/new", True)] == [
        (one.name, one.changed) for one in response.policy_sets
    ]
