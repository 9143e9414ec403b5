"""Drawing at random, the same for the same seed."""

import math
from collections.abc import Sequence
from random import Random
from typing import TypeVar

_T = TypeVar("_T")


def seeded(*parts: object) -> Random:
    """Make a source of choices that depends on nothing but the texts of the parts: a seed, an id, a number.

    It is the same on every machine: the texts are hashed by SHA-512 to seed it.
    """
    return Random("/".join(map(str, parts)))  # noqa: S311 - reproducible data, not a secret


def pick(choices: Sequence[_T], random: Random) -> _T | None:
    """Draw one; None when there is none."""
    return random.choice(choices) if choices else None


def count_between(fewest: int, most: int, random: Random) -> int:
    """Draw a count from fewest, >= 1, to most, small ones more often: its logarithm is uniform."""
    return min(most, int(math.exp(random.uniform(math.log(fewest), math.log(most + 1)))))
