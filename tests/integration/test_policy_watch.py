"""`PolicyWatch` on real folders, changed as editors, git and kubelet change them."""

import asyncio
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.config_map import mount_config_map

from archrouter.policy_files.watch import PolicyWatch

NOTICE_TIMEOUT_S = 5.0
LONG_INTERVAL_S = 60.0
"""Nothing but the file system's word is fast enough, so a test with it proves that the word is heard."""

SHORT_INTERVAL_S = 0.2


class Watching:
    """A running watch and what it has told."""

    def __init__(self, watch: PolicyWatch) -> None:
        """Count from 0."""
        self.count = 0
        self._watch = watch
        self._told = asyncio.Event()

    async def run(self) -> None:
        """Count changes until cancelled."""
        async for _ in self._watch.changes():
            self.count += 1
            self._told.set()

    async def next(self) -> None:
        """Wait for the next change."""
        async with asyncio.timeout(NOTICE_TIMEOUT_S):
            await self._told.wait()
        self._told.clear()


@asynccontextmanager
async def watching(folder: Path, interval_s: float = LONG_INTERVAL_S) -> AsyncIterator[Watching]:
    """Watch a folder for the time of the block."""
    watch = Watching(PolicyWatch(folder, interval_s=interval_s))
    task = asyncio.create_task(watch.run())
    await asyncio.sleep(0.3)  # until the file system has been asked
    try:
        yield watch
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def write_in_place(folder: Path) -> None:
    """Save as most programs do."""
    (folder / "a.yaml").write_text("changed")


def rename_over(folder: Path) -> None:
    """Save as careful editors do: a hidden file beside it, then one rename."""
    (folder / ".a.yaml.swp").write_text("changed")
    (folder / ".a.yaml.swp").replace(folder / "a.yaml")


def add_a_file(folder: Path) -> None:
    """Add a policy file."""
    (folder / "b.yaml").write_text("new")


def remove_a_file(folder: Path) -> None:
    """Remove the only policy file."""
    (folder / "a.yaml").unlink()


@pytest.mark.parametrize("change", [write_in_place, rename_over, add_a_file, remove_a_file])
async def test_a_change_is_told_once(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """However a file is saved, the folder has changed once."""
    (tmp_path / "a.yaml").write_text("before")

    async with watching(tmp_path) as watch:
        change(tmp_path)
        await watch.next()
        await asyncio.sleep(0.5)

    assert 1 == watch.count


async def test_the_link_swap_of_a_configmap_is_told(tmp_path: Path) -> None:
    """Kubelet never touches the files that the service reads; it swaps what they lead to."""
    mount_config_map(tmp_path, {"a.yaml": "before"})

    async with watching(tmp_path) as watch:
        for text in ("second", "third"):
            mount_config_map(tmp_path, {"a.yaml": text})
            await watch.next()

    assert 2 == watch.count


def git(folder: Path, *arguments: str) -> None:
    """Run git without anybody's configuration."""
    options = ("-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *options, *arguments], cwd=folder, check=True, capture_output=True)  # noqa: S607


async def test_a_git_checkout_of_many_files_is_told_once(tmp_path: Path) -> None:
    """Forty files change one after the other; nobody reads half of them."""
    git(tmp_path, "init")
    for branch in ("main", "next"):
        git(tmp_path, "checkout", "-B", branch)
        for index in range(40):
            (tmp_path / f"{index}.yaml").write_text(f"{branch} {index}")
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-m", branch)

    async with watching(tmp_path) as watch:
        git(tmp_path, "checkout", "main")
        await watch.next()
        await asyncio.sleep(0.5)

    assert 1 == watch.count
    assert "main 39" == (tmp_path / "39.yaml").read_text()


async def test_a_file_that_is_written_slowly_is_told_when_it_is_whole(tmp_path: Path) -> None:
    """A copy over a slow line takes longer than a look; the look waits until it has come to rest."""
    async with watching(tmp_path) as watch:
        with (tmp_path / "a.yaml").open("w") as file:
            for _ in range(10):
                file.write("line\n")
                file.flush()
                await asyncio.sleep(0.1)
            count_while_written = watch.count
        await watch.next()

    assert 0 == count_while_written
    assert 1 == watch.count


async def test_what_is_no_policy_file_is_not_told(tmp_path: Path) -> None:
    """Suites, notes, editors' files and touched folders change no policy."""
    (tmp_path / "a.yaml").write_text("before")

    async with watching(tmp_path, SHORT_INTERVAL_S) as watch:
        for name in ("a_test.yaml", "README.md", ".a.yaml.swp"):
            (tmp_path / name).write_text("something")
        await asyncio.sleep(1.0)

    assert 0 == watch.count


async def test_a_folder_that_goes_and_comes_back_is_told_both_times(tmp_path: Path) -> None:
    """The file system's word ends with the folder, so the watch looks by itself and asks again."""
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "a.yaml").write_text("before")

    async with watching(folder, SHORT_INTERVAL_S) as watch:
        shutil.rmtree(folder)
        await watch.next()
        folder.mkdir()
        (folder / "a.yaml").write_text("before")
        await watch.next()
        (folder / "a.yaml").write_text("after")
        await watch.next()

    assert 3 == watch.count


async def test_a_folder_that_is_a_link_may_lead_elsewhere(tmp_path: Path) -> None:
    """Releases are often folders beside each other and a link to the current one."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.yaml").write_text(name)
    (tmp_path / "current").symlink_to("first")

    async with watching(tmp_path / "current", SHORT_INTERVAL_S) as watch:
        (tmp_path / "next").symlink_to("second")
        (tmp_path / "next").replace(tmp_path / "current")
        await watch.next()
        (tmp_path / "second" / "a.yaml").write_text("changed")
        await watch.next()

    assert 2 == watch.count


async def test_without_the_word_of_the_file_system_the_watch_still_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system that watches no more folders raises what watchfiles raises for it."""

    async def refuse(*_arguments: object, **_options: object) -> AsyncIterator[None]:
        msg = "too many open files"
        raise RuntimeError(msg)
        yield

    monkeypatch.setattr("archrouter.policy_files.watch.awatch", refuse)

    async with watching(tmp_path, SHORT_INTERVAL_S) as watch:
        (tmp_path / "a.yaml").write_text("new")
        await watch.next()

    assert 1 == watch.count


async def test_a_watch_that_ended_leaves_no_thread(tmp_path: Path) -> None:
    """However often a folder is exchanged, the system is asked by one thread at a time."""
    folder = tmp_path / "policies"
    folder.mkdir()
    before = threading.active_count()

    async with watching(folder, SHORT_INTERVAL_S) as watch:
        for index in range(8):
            (tmp_path / "next").mkdir()
            (tmp_path / "next" / f"{index}.yaml").write_text("new")
            shutil.rmtree(folder)
            (tmp_path / "next").rename(folder)
            await watch.next()
        grown_by = threading.active_count() - before

    assert grown_by <= 3  # of the watch, and of the looks, which the loop's pool keeps
