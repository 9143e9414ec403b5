"""The cache is bounded and forgets what was used longest ago."""

import pytest
from compact_model.cache import Cache


def test_the_cache_never_holds_more_than_its_capacity() -> None:
    """However many digests come by, the bound holds after each."""
    cache = Cache[int](3)

    sizes = [len(cache) for number in range(10) if cache.get(bytes([number]), lambda: 0) is not None]

    assert 3 == max(sizes)
    assert 3 == len(cache)


def test_the_value_used_longest_ago_makes_room() -> None:
    """A hit counts as use, so the value looked up again stays and the other one goes."""
    cache = Cache[int](2)
    cache.get(b"a", lambda: 1)
    cache.get(b"b", lambda: 2)
    cache.get(b"a", lambda: -1)

    cache.get(b"c", lambda: 3)

    assert 1 == cache.get(b"a", lambda: -1)
    assert -2 == cache.get(b"b", lambda: -2)


def test_nothing_is_kept_when_computing_fails() -> None:
    """A candidate that cannot be read leaves no entry behind."""
    cache = Cache[int](2)

    def fail() -> int:
        raise LookupError

    with pytest.raises(LookupError):
        cache.get(b"a", fail)

    assert 0 == len(cache)


def test_a_cache_without_room_is_refused() -> None:
    """A capacity of 0 would encode every candidate on every call, which nobody means to ask for."""
    with pytest.raises(ValueError, match="cache of 0 values"):
        Cache[int](0)
