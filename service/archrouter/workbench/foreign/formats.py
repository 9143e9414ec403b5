"""The formats that can be imported, and which of them a configuration is in."""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from archrouter.strict_yaml.values import listed
from archrouter.workbench.foreign import gateway, litellm, semantic_router, vllm
from archrouter.workbench.foreign.facts import Facts, ForeignError, ForeignSet


@dataclass(frozen=True, slots=True)
class Format:
    """A foreign format.

    Attributes:
        matches: Says whether a configuration has its keys.
        read: Reads one, and notes what has no counterpart.
        looked_for: What `matches` looks for, in words.
    """

    matches: Callable[[Facts], bool]
    read: Callable[[Facts], ForeignSet]
    looked_for: str


def _format(module: ModuleType) -> Format:
    return Format(module.matches, module.read, module.LOOKED_FOR)


FORMATS = {
    "plano": _format(gateway),
    "litellm": _format(litellm),
    "semantic-router": _format(semantic_router),
    "vllm": _format(vllm),
}
"""By the word of the command line; of two that match the first is taken."""


def detect(facts: Facts) -> str:
    """Find out the format by its keys; ForeignError says what was looked for and what is there."""
    for name, candidate in FORMATS.items():
        if candidate.matches(facts):
            return name
    looked_for = "; ".join(candidate.looked_for for candidate in FORMATS.values())
    there = f"its keys are {listed(tuple(facts.values))}" if facts.values else "it has no key"
    msg = f"the format is unknown: looked for {looked_for}; {there}. Name it with --format if it is one of them"
    raise ForeignError(msg)
