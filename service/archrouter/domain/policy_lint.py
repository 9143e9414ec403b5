"""What makes a valid policy set hard to route by, for any router: it reads ids, descriptions and examples.

Overlapping and vague descriptions make the choice between routes arbitrary (Arch-Router paper, limitations). The
measures here are deliberately crude word counts: they need no model and can be checked by eye.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from archrouter.domain.findings import Finding, Severity, quoted
from archrouter.domain.policy import PolicySet, RoutePolicy

NEAR_SIMILARITY = 0.6
"""Share of common words from which two descriptions nearly coincide; 1 is the same set of words."""

MIN_DESCRIPTION_WORDS = 4
"""A description of fewer words says little more than its id."""

MAX_DESCRIPTION_WORDS = 60
"""A description is one or two sentences; every further one costs prompt tokens in each call and blurs the borders."""

_STEM_CHARACTERS = 5
"""Words that agree so far count as one: `refactoring` and `refactor`, `summary` and `summarise`."""

_BEGINNING_CHARACTERS = 3
"""A word of an id that long agrees with every word that begins with it: `math` and `mathematics`, `bug` and `bugs`."""

_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Scripts written without spaces, from Thai to Han: there each character counts as a word."""

_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
_CASE_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def lint_policy_set(policy_set: PolicySet) -> tuple[Finding, ...]:
    """Find what will confuse any router.

    The similarity of two descriptions is the Jaccard index of their words: how many words both have, by how many
    either has. Case does not count, and of a word only its first `_STEM_CHARACTERS` characters do.

    Args:
        policy_set: A valid set.

    Returns:
        Warnings: of thresholds whose promise is no longer theirs, then in the order of the routes, at most four each
        and one for each example. Every route is compared with all before it: O(routes²).
    """
    first_with: dict[tuple[str, str], str] = {}
    first_with_example: dict[str, str] = {}
    stems_before: list[tuple[RoutePolicy, frozenset[str]]] = []
    findings: list[Finding] = list(_broken_promise(policy_set))
    for index, route in enumerate(policy_set.routes):
        stems = _stems(route.description)
        warnings = (
            *_wording(route),
            *_likeness(stems, stems_before),
            *_place(route, first_with),
            *_shared_examples(route, first_with_example),
        )
        findings.extend(Finding(Severity.WARNING, f"routes[{index}].{field}", text) for field, text in warnings)
        stems_before.append((route, stems))
        first_with.setdefault((route.domain, route.action), route.id)
    return tuple(findings)


def _broken_promise(policy_set: PolicySet) -> Iterator[Finding]:
    if policy_set.stale_promise():
        text = "routes or thresholds changed since they were calibrated, so the promised error no longer holds"
        yield Finding(Severity.WARNING, "promise", f"{text}; run archrouter calibrate --write")


def _wording(route: RoutePolicy) -> Iterator[tuple[str, str]]:
    """Judge one route by itself; yields field and message."""
    if not _agree(_words(_CASE_BORDER.sub(" ", route.id)), _words(" ".join((route.description, *route.examples)))):
        yield "id", f"{quoted(route.id)} shares no word with its description; let the description repeat the id's words"
    count = len(_WORD.findall(route.description))
    if count < MIN_DESCRIPTION_WORDS and not route.examples:
        yield "description", f"has {count} words; write {MIN_DESCRIPTION_WORDS} or more, naming what users ask for"
    if count > MAX_DESCRIPTION_WORDS:
        yield "description", f"has {count} words; {MAX_DESCRIPTION_WORDS} or fewer are enough to say what is meant"


def _likeness(stems: frozenset[str], before: Sequence[tuple[RoutePolicy, frozenset[str]]]) -> Iterator[tuple[str, str]]:
    """Compare a description with the earlier ones; only the closest of them is worth naming."""
    closest = max(before, key=lambda other: _similarity(stems, other[1]), default=None)
    if closest is not None and _similarity(stems, closest[1]) >= NEAR_SIMILARITY:
        similarity = f"{_similarity(stems, closest[1]):.0%}"
        yield (
            "description",
            f"shares {similarity} of its words with that of {quoted(closest[0].id)}; say what tells the two apart",
        )


def _place(route: RoutePolicy, first_with: Mapping[tuple[str, str], str]) -> Iterator[tuple[str, str]]:
    """Compare domain and action with those of the earlier routes."""
    first = first_with.get((route.domain, route.action))
    if first is not None and (route.domain or route.action):
        field = "action" if route.action else "domain"
        yield field, f"{quoted(first)} has the same domain and action; make them differ, or merge the two routes"


def _shared_examples(route: RoutePolicy, first_with: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Find examples that an earlier route has as well, whatever their case and spaces."""
    for index, text in enumerate(route.examples):
        first = first_with.setdefault(" ".join(text.casefold().split()), route.id)
        if first != route.id:
            yield (
                f"examples[{index}]",
                f"{quoted(text)} is an example of {quoted(first)} too; keep it at the one it means",
            )


def _similarity(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / max(1, len(one | other))


def _stems(text: str) -> frozenset[str]:
    return frozenset(word[:_STEM_CHARACTERS] for word in _words(text))


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))


def _agree(words: frozenset[str], others: frozenset[str]) -> bool:
    """Say whether two words have a stem in common, or one is the beginning of the other."""
    return any(_is_same(one, other) for one in words for other in others)


def _is_same(one: str, other: str) -> bool:
    shared = min(len(one), len(other))
    return one[:_STEM_CHARACTERS] == other[:_STEM_CHARACTERS] or (
        shared >= _BEGINNING_CHARACTERS and one[:shared] == other[:shared]
    )
