"""The cache is bounded and forgets what was used longest ago."""

import numpy as np
import pytest
from compact_model.cache import Vector, VectorCache


def vector(value: float) -> Vector:
    """Make a vector that is told apart by its value."""
    return np.full(3, value, dtype=np.float32)


def test_the_cache_never_holds_more_than_its_capacity() -> None:
    """However many digests come by, the bound holds after each."""
    cache = VectorCache(3)

    sizes = [len(cache) for number in range(10) if cache.get(bytes([number]), lambda: vector(0)) is not None]

    assert 3 == max(sizes)
    assert 3 == len(cache)


def test_the_vector_used_longest_ago_makes_room() -> None:
    """A hit counts as use, so the vector looked up again stays and the other one goes."""
    cache = VectorCache(2)
    cache.get(b"a", lambda: vector(1))
    cache.get(b"b", lambda: vector(2))
    cache.get(b"a", lambda: vector(-1))

    cache.get(b"c", lambda: vector(3))

    assert 1 == cache.get(b"a", lambda: vector(-1))[0]
    assert -2 == cache.get(b"b", lambda: vector(-2))[0]


def test_nothing_is_kept_when_computing_fails() -> None:
    """A candidate that cannot be read leaves no entry behind."""
    cache = VectorCache(2)

    def fail() -> Vector:
        raise LookupError

    with pytest.raises(LookupError):
        cache.get(b"a", fail)

    assert 0 == len(cache)


def test_a_cache_without_room_is_refused() -> None:
    """A capacity of 0 would encode every candidate on every call, which nobody means to ask for."""
    with pytest.raises(ValueError, match="cache of 0 vectors"):
        VectorCache(0)
