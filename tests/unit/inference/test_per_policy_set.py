"""The bounded memory of what was made for a policy set."""

from tests.support.fakes import make_set

from archrouter.inference.per_policy_set import PerPolicySet


def test_the_value_used_least_recently_is_forgotten_first() -> None:
    """Reading counts as use, and the bound holds."""
    memory: PerPolicySet[int] = PerPolicySet(inline_capacity=2)
    for number, name in enumerate("ab"):
        memory.put(make_set(name), number)

    memory.get(make_set("a"))
    memory.put(make_set("c"), 2)

    assert [0, None, 2] == [memory.get(make_set(name)) for name in "abc"]


def test_an_equal_set_is_the_same_set() -> None:
    """What counts is the revision, not the object."""
    memory: PerPolicySet[str] = PerPolicySet()

    assert "made" == memory.put(make_set("a"), "made")
    assert "made" == memory.get(make_set("a"))
    assert memory.get(make_set("a", description="another meaning")) is None


def test_what_is_held_stays_whatever_comes_until_it_is_released() -> None:
    """Inline sets crowd out one another, never a set that is served."""
    memory: PerPolicySet[str] = PerPolicySet(inline_capacity=1)
    memory.hold(make_set("served"), "held")
    for name in ("x", "y"):
        memory.put(make_set(name), name)
    crowded = [memory.get(make_set(name)) for name in ("served", "x", "y")]
    memory.release(make_set("served"))
    memory.release(make_set("never-held"))

    assert ["held", None, "y"] == crowded
    assert memory.get(make_set("served")) is None
