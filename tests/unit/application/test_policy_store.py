"""Loading, reloading and resolving policy sets."""

import pytest
from tests.support.fake_backend import FakeBackend
from tests.support.fakes import FakeClock, FakeSource, make_set

from archrouter.application.policy_store import PolicyStore
from archrouter.domain.errors import (
    BackendProtocolError,
    NoDefaultPolicySetError,
    OverloadedError,
    PolicySetNotFoundError,
    PromptTemplateError,
    PromptTooLongError,
)
from archrouter.domain.policy import PolicySet


def make_store(source: FakeSource, default_id: str = "", backend: FakeBackend | None = None) -> PolicyStore:
    """Build a store with a clock that stands still."""
    return PolicyStore(source, backend or FakeBackend(), FakeClock(), default_id=default_id)


async def test_a_loaded_set_is_found_by_id_and_was_prepared() -> None:
    """Loading makes a set ready for its first request."""
    backend = FakeBackend()
    store = make_store(FakeSource(make_set("a"), make_set("b")), backend=backend)

    await store.reload()

    assert "b" == store.resolve("b").policy_set.id
    assert ["a", "b"] == backend.prepared


async def test_the_sets_being_served_are_listed_by_id() -> None:
    """Whoever warms a model up prepares these, and none before the first load."""
    store = make_store(FakeSource(make_set("b"), make_set("a")))
    before = store.served_policy_sets()

    await store.reload()

    assert () == before
    assert ["a", "b"] == [policy_set.id for policy_set in store.served_policy_sets()]


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
