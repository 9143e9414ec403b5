"""The cache is bounded and forgets what was used longest ago."""

import pytest
from compact_model.cache import Cache


def test_the_cache_never_holds_more_than_its_capacity() -> None:
    """However many digests come by, the bound holds after each."""
    cache = Cache[int](3)
    sizes = []

    for number in range(10):
        cache.put(bytes([number]), number)
        sizes.append(len(cache))

    assert [1, 2, *[3] * 8] == sizes


def test_the_value_used_longest_ago_makes_room() -> None:
    """A look counts as use, so the value looked up again stays and the other one goes."""
    cache = Cache[int](2)
    cache.put(b"a", 1)
    cache.put(b"b", 2)
    cache.get(b"a")

    cache.put(b"c", 3)

    assert [1, None, 3] == [cache.get(each) for each in (b"a", b"b", b"c")]


def test_a_cache_without_room_is_refused() -> None:
    """A capacity of 0 would encode every candidate on every call, which nobody means to ask for."""
    with pytest.raises(ValueError, match="cache of 0 values"):
        Cache[int](0)
