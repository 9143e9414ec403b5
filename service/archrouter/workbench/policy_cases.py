"""Conversations that put a policy set to the test: from suites, the routes' examples, a neutral bank, or a model."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.resources import files

from archrouter.domain.conversation import Message, Role
from archrouter.domain.policy import PolicySet, RoutePolicy
from archrouter.domain.suite import Suite

_BANK = files(__package__).joinpath("neutral_requests.txt")


class Source(StrEnum):
    """Where a conversation comes from."""

    SUITE = "suite"
    EXAMPLE = "example"
    NEUTRAL = "neutral"
    DRAFTED = "drafted"


@dataclass(frozen=True, slots=True)
class PolicyCase:
    """One conversation.

    Attributes:
        messages: Oldest first; the last one is to be routed.
        source: Where it comes from.
        expected: Id of the route that is meant, empty where none is. Of no meaning for a neutral request: a set may or
            may not have a route for it.
        topic: Of a neutral request, e.g. ``cooking``; empty otherwise.
    """

    messages: tuple[Message, ...]
    source: Source
    expected: str = ""
    topic: str = ""

    @property
    def text(self) -> str:
        """The latest user message, which decides."""
        return next(message.content for message in reversed(self.messages) if message.role is Role.USER)

    @property
    def is_labelled(self) -> bool:
        """Whether somebody said where it should go."""
        return self.source is not Source.NEUTRAL


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the tier made of a conversation.

    Attributes:
        decided: Id of the route that was chosen; empty when none was.
        probabilities: Of each route, and of no match under the empty id; the most probable first.
    """

    decided: str
    probabilities: Mapping[str, float]

    @property
    def winner(self) -> str:
        """The chosen route; else what leads, be it below its threshold: wording is judged apart from thresholds."""
        return self.decided or next(iter(self.probabilities), "")


@dataclass(frozen=True, slots=True)
class Asked:
    """A conversation and its verdict."""

    case: PolicyCase
    verdict: Verdict

    @property
    def is_right(self) -> bool:
        """Whether a labelled conversation went where it should."""
        return self.case.expected == (self.verdict.winner if self.case.expected else self.verdict.decided)


def gather_cases(
    policy_set: PolicySet, suites: Iterable[Suite], neutral: Sequence[PolicyCase], drafted: Sequence[PolicyCase] = ()
) -> list[PolicyCase]:
    """List the conversations of a set: suites, examples that no suite has, those that a model drafted, neutral ones."""
    cases = [
        PolicyCase(case.messages, Source.SUITE, case.expected_route_id) for suite in suites for case in suite.cases
    ]
    known = {_folded(case.text) for case in cases if len(case.messages) == 1}
    examples = [
        PolicyCase((Message(Role.USER, text),), Source.EXAMPLE, route.id)
        for route in policy_set.routes
        for text in route.examples
        if _folded(text) not in known
    ]
    return [*cases, *examples, *drafted, *neutral]


def neutral_requests(text: str = "") -> list[PolicyCase]:
    """Read requests, a line each under ``# topic`` lines; without a text those that come with this project."""
    topic, cases = "", []
    for line in (text or _BANK.read_text(encoding="utf-8")).splitlines():
        if line.startswith("#"):
            topic = line.lstrip("# ").strip()
        elif line.strip():
            cases.append(PolicyCase((Message(Role.USER, line.strip()),), Source.NEUTRAL, topic=topic))
    return cases


def halves(cases: Sequence[PolicyCase]) -> tuple[list[PolicyCase], list[PolicyCase]]:
    """Deal the conversations of each route, and of each topic, in turns to the two halves: to learn from, to judge by.

    Conversations with the same latest message fall into the same half.
    """
    seen: dict[str, int] = {}
    counts: dict[tuple[str, str], int] = defaultdict(int)
    parts: tuple[list[PolicyCase], list[PolicyCase]] = ([], [])
    for case in cases:
        key = (case.expected, case.topic)
        half = seen.setdefault(_folded(case.text), counts[key] % 2)
        counts[key] += 1
        parts[half].append(case)
    return parts


def unseen(policy_set: PolicySet, case: PolicyCase) -> PolicySet | None:
    """Take the conversation's own text out of the examples, so that its verdict proves something.

    Returns:
        The set without it, the same object where no route has it; None where a route would have nothing left.
    """
    text = _folded(case.text)
    routes = tuple(_without(route, text) for route in policy_set.routes)
    if all(one is other for one, other in zip(routes, policy_set.routes, strict=True)):
        return policy_set
    if any(not route.description and not route.examples for route in routes):
        return None
    return replace(policy_set, routes=routes)


def _without(route: RoutePolicy, text: str) -> RoutePolicy:
    kept = tuple(each for each in route.examples if _folded(each) != text)
    not_kept = tuple(each for each in route.not_examples if _folded(each) != text)
    if (kept, not_kept) == (route.examples, route.not_examples):
        return route
    return replace(route, examples=kept, not_examples=not_kept)


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
