"""Drawing at random, the same for the same seed."""

import math
from collections.abc import Sequence
from random import Random
from typing import TypeVar

_T = TypeVar("_T")


def seeded(*parts: object) -> Random:
    """Make a source of choices that depends on nothing but the parts.

    Args:
        parts: A seed, an id, a number; what their texts are is all that counts.

    Returns:
        The same source for the same parts, on every machine: a text is hashed by SHA-512 to seed it.
    """
    return Random("/".join(map(str, parts)))  # noqa: S311 - reproducible data, not a secret


def pick(choices: Sequence[_T], random: Random) -> _T | None:
    """Draw one; None when there is none."""
    return random.choice(choices) if choices else None


def count_between(fewest: int, most: int, random: Random) -> int:
    """Draw a count, small ones more often: its logarithm is uniform.

    Args:
        fewest: >= 1.
        most: >= fewest.
        random: Where the choice comes from.

    Returns:
        A count from fewest to most.
    """
    return min(most, int(math.exp(random.uniform(math.log(fewest), math.log(most + 1)))))
