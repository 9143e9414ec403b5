"""Loading, reloading and resolving policy sets."""

from collections.abc import Set as AbstractSet

import pytest
from tests.support.fake_backend import FakeBackend
from tests.support.fakes import FakeClock, FakeSource, make_set

from archrouter.application.policy_store import PolicyStore
from archrouter.application.ports import SourcedPolicySet
from archrouter.domain.errors import (
    BackendProtocolError,
    NoDefaultPolicySetError,
    OverloadedError,
    PolicySetNotFoundError,
    PolicySetRevisionNotFoundError,
    PromptTemplateError,
    PromptTooLongError,
)
from archrouter.domain.policy import PolicySet


class FakeMemory:
    """A memory that another process may have filled."""

    def __init__(self, *sets: PolicySet) -> None:
        """Remember each set as the file ``<id>.yaml``."""
        self.recalled = tuple(SourcedPolicySet(f"{one.id}.yaml", one) for one in sets)
        self.kept: list[tuple[list[str], list[str]]] = []

    def recall(self) -> tuple[SourcedPolicySet, ...]:
        """Return what it was made with."""
        return self.recalled

    def keep(self, accepted: tuple[SourcedPolicySet, ...], sources: AbstractSet[str]) -> None:
        """Note the sources of both."""
        self.kept.append(([one.source for one in accepted], sorted(sources)))


def make_store(
    source: FakeSource,
    default_id: str = "",
    backend: FakeBackend | None = None,
    memory: FakeMemory | None = None,
    *,
    kept_revisions: int = 0,
) -> PolicyStore:
    """Build a store with a clock that stands still."""
    return PolicyStore(
        source,
        backend or FakeBackend(),
        FakeClock(),
        default_id=default_id,
        kept_revisions=kept_revisions,
        memory=memory,
    )


async def test_a_loaded_set_is_found_by_id_and_was_prepared() -> None:
    """Loading makes a set ready for its first request."""
    backend = FakeBackend()
    store = make_store(FakeSource(make_set("a"), make_set("b")), backend=backend)

    await store.reload()

    assert "b" == store.resolve("b").policy_set.id
    assert ["a", "b"] == backend.prepared


async def test_an_unknown_id_is_not_found() -> None:
    """The error keeps the id that was asked for."""
    store = make_store(FakeSource(make_set("a")))
    await store.reload()

    with pytest.raises(PolicySetNotFoundError) as caught:
        store.resolve("b")

    assert "b" == caught.value.policy_set_id


async def test_the_only_set_is_the_default_when_none_is_configured() -> None:
    """One set needs no configuration, several do."""
    one, two = make_store(FakeSource(make_set("a"))), make_store(FakeSource(make_set("a"), make_set("b")))
    await one.reload()
    await two.reload()

    assert "a" == one.resolve(None).policy_set.id
    with pytest.raises(NoDefaultPolicySetError):
        two.resolve(None)


async def test_a_configured_default_that_is_not_loaded_is_no_default() -> None:
    """A wrong default is not replaced by a guess."""
    store = make_store(FakeSource(make_set("a")), default_id="b")
    await store.reload()

    assert store.default_id is None
    with pytest.raises(NoDefaultPolicySetError):
        store.resolve(None)


async def test_a_broken_file_keeps_the_last_good_revision_and_marks_it_stale() -> None:
    """A bad policy file never replaces a good one."""
    source = FakeSource(make_set("a"), make_set("b"))
    store = make_store(source)
    await store.reload()
    good = store.resolve("a")

    source.broken = ("a.yaml",)
    snapshot = await store.reload()

    assert good.policy_set is store.resolve("a").policy_set
    assert store.resolve("a").stale
    assert not store.resolve("b").stale
    assert "a.yaml" == snapshot.rejected[0].source


async def test_a_repaired_file_is_no_longer_stale() -> None:
    """Healing needs no restart."""
    source = FakeSource(make_set("a"))
    store = make_store(source)
    await store.reload()
    source.broken = ("a.yaml",)
    await store.reload()

    source.broken = ()
    await store.reload()

    assert not store.resolve("a").stale


async def test_a_source_that_cannot_be_read_at_all_keeps_every_set() -> None:
    """What vanished with its folder was not taken away on purpose."""
    source = FakeSource(make_set("a"), make_set("b"))
    store = make_store(source)
    await store.reload()

    source.unreadable = True
    snapshot = await store.reload()

    assert ["a", "b"] == list(snapshot.loaded)
    assert all(loaded.stale for loaded in snapshot.loaded.values())


async def test_a_removed_file_removes_its_set() -> None:
    """Taking a file away is a decision, not a fault."""
    source = FakeSource(make_set("a"), make_set("b"))
    store = make_store(source)
    await store.reload()

    source.sets = (make_set("b"),)
    await store.reload()

    with pytest.raises(PolicySetNotFoundError):
        store.resolve("a")


async def test_the_activation_time_changes_only_with_the_revision() -> None:
    """Reading the same policies again does not activate them again."""
    source, clock = FakeSource(make_set("a")), FakeClock()
    store = PolicyStore(source, FakeBackend(), clock, default_id="")
    await store.reload()
    first = store.resolve("a").activate_time

    clock.elapsed_s = 60
    await store.reload()
    same = store.resolve("a").activate_time
    source.sets = (make_set("a", description="another meaning"),)
    await store.reload()

    assert first == same
    assert 60 == (store.resolve("a").activate_time - first).total_seconds()


async def test_a_set_over_the_token_budget_is_rejected_with_the_counts() -> None:
    """Policies that alone exceed the budget are refused when they are loaded, not when they are used."""
    backend = FakeBackend()
    backend.prepare_failure = PromptTooLongError(prompt_token_count=9000, max_prompt_token_count=2048)
    store = make_store(FakeSource(make_set("a")), backend=backend)

    snapshot = await store.reload()

    assert not snapshot.loaded
    assert "9000 tokens" in snapshot.rejected[0].findings[0].message


@pytest.mark.parametrize(
    "failure",
    [
        OverloadedError("the queue is full", retry_after_s=1.0),
        BackendProtocolError("model 'm' refused the call (INVALID_ARGUMENT)"),
        PromptTemplateError("a seam would merge"),
        ValueError("two answers are one"),
    ],
)
async def test_a_set_that_cannot_be_prepared_keeps_no_other_from_being_loaded(failure: Exception) -> None:
    """Whatever the model or the compiler has against a set is that set's finding."""

    class Picky(FakeBackend):
        """Takes every set but one."""

        async def prepare(self, policy_set: PolicySet) -> None:
            """Refuse the set ``b``."""
            if policy_set.id == "b":
                raise failure
            await super().prepare(policy_set)

    store = make_store(FakeSource(make_set("a"), make_set("b"), make_set("c")), backend=Picky())

    snapshot = await store.reload()

    assert ["a", "c"] == list(snapshot.loaded)
    assert [("b.yaml", str(failure))] == [(one.source, one.findings[0].message) for one in snapshot.rejected]


async def test_what_is_no_longer_served_is_released() -> None:
    """Changed and removed sets are; an unchanged one and the last good revision of a broken file are not."""
    backend = FakeBackend()
    source = FakeSource(make_set("same"), make_set("changed"), make_set("removed"), make_set("broken"))
    store = make_store(source, backend=backend)
    await store.reload()

    source.sets = (make_set("same"), make_set("changed", description="another meaning"), make_set("broken"))
    source.broken = ("broken.yaml",)
    await store.reload()

    assert ["changed", "removed"] == backend.released


async def test_only_what_is_new_is_prepared() -> None:
    """Reading the same policies again costs the model nothing."""
    backend = FakeBackend()
    source = FakeSource(make_set("a"), make_set("b"))
    store = make_store(source, backend=backend)
    await store.reload()

    source.sets = (make_set("a"), make_set("b", description="another meaning"))
    await store.reload()

    assert ["a", "b", "b"] == backend.prepared


async def test_a_request_may_ask_for_the_active_and_for_kept_revisions() -> None:
    """Of three revisions the oldest is gone with a limit of one; the error names the active one."""
    source = FakeSource(make_set("a", "first"))
    store = make_store(source, kept_revisions=1)
    revisions = []
    for description in ("first", "second", "third"):
        source.sets = (make_set("a", description),)
        await store.reload()
        revisions.append(store.resolve("a").policy_set.revision)

    resolved = [store.resolve("a", revision).policy_set.routes[0].description for revision in revisions[1:]]
    with pytest.raises(PolicySetRevisionNotFoundError) as caught:
        store.resolve("a", revisions[0])

    assert ["second", "third"] == resolved
    assert ("a", revisions[2]) == (caught.value.policy_set_id, caught.value.active_revision)


async def test_a_kept_revision_stays_prepared_until_it_is_dropped() -> None:
    """Nothing that a request may ask for is released, and what came back is not kept twice."""
    backend = FakeBackend()
    source = FakeSource(make_set("a", "first"))
    store = make_store(source, backend=backend, kept_revisions=1)
    await store.reload()
    released = []

    for description in ("second", "first", "second", "third"):
        source.sets = (make_set("a", description),)
        await store.reload()
        released.append(len(backend.released))

    assert [0, 0, 0, 1] == released
    assert 3 == len(backend.prepared)


async def test_a_removed_set_takes_its_earlier_revisions_along() -> None:
    """A set that is gone is gone in every revision, and released in each."""
    backend = FakeBackend()
    source = FakeSource(make_set("a", "first"), make_set("b"))
    store = make_store(source, backend=backend, kept_revisions=4)
    await store.reload()
    revision = store.resolve("a").policy_set.revision
    source.sets = (make_set("a", "second"), make_set("b"))
    await store.reload()

    source.sets = (make_set("b"),)
    await store.reload()

    with pytest.raises(PolicySetNotFoundError):
        store.resolve("a", revision)
    assert ["a", "a"] == backend.released


async def test_a_file_that_was_renamed_and_broken_removes_no_set() -> None:
    """While a file that nobody knows is bad, a set whose file went may be what it meant to hold."""
    source = FakeSource(make_set("a"), make_set("b"))
    store = make_store(source)
    await store.reload()

    source.sets, source.broken = (make_set("b"),), ("renamed.yaml",)
    await store.reload()
    kept = store.resolve("a").stale
    source.broken = ()
    await store.reload()

    assert kept
    assert ["b"] == list(store.snapshot.loaded)


async def test_a_broken_file_serves_what_an_earlier_process_remembered() -> None:
    """A restart serves what a running service would have gone on with; what is good needs no memory."""
    source = FakeSource(make_set("a", "new"), make_set("b"))
    source.broken = ("b.yaml",)
    memory = FakeMemory(make_set("a", "old"), make_set("b"), make_set("removed"))
    backend = FakeBackend()
    store = make_store(source, backend=backend, memory=memory)

    snapshot = await store.reload()

    assert store.is_restart
    assert [("a", False), ("b", True)] == [(key, loaded.stale) for key, loaded in snapshot.loaded.items()]
    assert "new" == store.resolve("a").policy_set.routes[0].description
    assert ["a", "removed"] == sorted(backend.released)
    assert [(["a.yaml"], ["a.yaml", "b.yaml"])] == memory.kept


async def test_without_a_memory_nothing_is_a_restart() -> None:
    """The first start of all has nothing to fall back to, with an empty memory and with none."""
    source = FakeSource(make_set("a"))
    source.broken = ("b.yaml",)
    stores = [make_store(source), make_store(source, memory=FakeMemory())]

    for store in stores:
        await store.reload()

    assert [False, False] == [store.is_restart for store in stores]
