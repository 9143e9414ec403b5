"""From what a foreign configuration says to a policy set that is valid, with a note on whatever had to change."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from archrouter.domain.conversation import Message, Role
from archrouter.domain.policy import (
    MAX_DESCRIPTION_CHARACTERS,
    MAX_EXAMPLE_CHARACTERS,
    MAX_EXAMPLES,
    MAX_ROUTE_ID_CHARACTERS,
    MAX_ROUTES,
    NO_MATCH_ID,
    ModelTarget,
    PolicySet,
    RoutePolicy,
)
from archrouter.domain.suite import Suite, SuiteCase
from archrouter.workbench.foreign.facts import ForeignError, ForeignRoute, ForeignSet, Kind, Note, named

PLACEHOLDER_MODEL = "your-provider/your-model"
"""Stands where the configuration names no model, so that the file is complete and its author sees what to fill in."""

_HOLD_OUT_EVERY = 3
"""Of a route's utterances every third becomes a case of the suite: two thirds tell, one third asks."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What an import gives.

    Attributes:
        policy_set: Follows the rules of policy sets where `policy_set_id` does.
        cases: One for each utterance that was held out; empty where there are none, or nobody asked.
    """

    policy_set: PolicySet
    cases: tuple[SuiteCase, ...]

    @property
    def suite(self) -> Suite:
        """The cases as a suite, which needs at least one."""
        return Suite(self.policy_set.id, self.cases)


def draft(
    foreign: ForeignSet, policy_set_id: str, models: Sequence[str], notes: list[Note], *, holds_out: bool
) -> Draft:
    """Make a policy set.

    Args:
        foreign: What was read.
        policy_set_id: Name of the set.
        models: For routes, and the fallback, where the configuration names none; may be empty.
        notes: Gets what was changed, left out or assumed.
        holds_out: Keep some utterances for a suite.

    Returns:
        The set and the cases.

    Raises:
        ForeignError: There are too many routes for one set.
    """
    if len(foreign.routes) > MAX_ROUTES:
        msg = f"{len(foreign.routes)} routes are more than the {MAX_ROUTES} of a policy set; split the file"
        raise ForeignError(msg)
    default = tuple(ModelTarget(model) for model in dict.fromkeys(models))
    ids: dict[str, str] = {}
    routes: list[RoutePolicy] = []
    cases: list[SuiteCase] = []
    for route in foreign.routes:
        drafted = _DraftedRoute(route, _route_id(route, ids, notes), notes, holds_out=holds_out)
        routes.append(drafted.policy(_models(route, default, notes)))
        cases += drafted.cases()
    fallback = foreign.fallback or default
    if not fallback:
        fallback = routes[0].models[:1]
        text = f"no fallback is named; taken is the first route's model {named(fallback[0].model)}"
        notes.append(Note(Kind.ASSUMED, "", text))
    return Draft(PolicySet(policy_set_id, "", tuple(routes), fallback), tuple(cases))


def _models(route: ForeignRoute, default: tuple[ModelTarget, ...], notes: list[Note]) -> tuple[ModelTarget, ...]:
    if route.models:
        return route.models
    if default:
        text = f"names no model; taken is {', '.join(named(target.model) for target in default)}"
        notes.append(Note(Kind.ASSUMED, route.place, text))
        return default
    text = f"names no model; replace {named(PLACEHOLDER_MODEL)}, or import again with --model"
    notes.append(Note(Kind.ASSUMED, route.place, text))
    return (ModelTarget(PLACEHOLDER_MODEL),)


def _route_id(route: ForeignRoute, ids: dict[str, str], notes: list[Note]) -> str:
    """Make a valid id that no earlier route has."""
    printable = "".join(character if character.isprintable() else " " for character in route.name)
    normal = unicodedata.normalize("NFC", " ".join(printable.split()))
    base = normal[:MAX_ROUTE_ID_CHARACTERS].strip() or "route"
    if base == NO_MATCH_ID:
        base = f"{base}_requests"
    route_id, count = base, 1
    while route_id in ids:
        count += 1
        suffix = f"_{count}"
        route_id = base[: MAX_ROUTE_ID_CHARACTERS - len(suffix)] + suffix
    ids[route_id] = route.place
    if route_id != route.name:
        text = f"the name {named(route.name)} became the id {named(route_id)}"
        notes.append(Note(Kind.DERIVED, route.place, text))
    return route_id


class _DraftedRoute:
    """One route; its texts are sorted into examples, cases and what is left out."""

    def __init__(self, route: ForeignRoute, route_id: str, notes: list[Note], *, holds_out: bool) -> None:
        self._route = route
        self._id = route_id
        self._notes = notes
        utterances = self._usable(route.utterances)
        held_out = set(utterances[_HOLD_OUT_EVERY - 1 :: _HOLD_OUT_EVERY]) if holds_out else set()
        told = [text for text in utterances if text not in held_out]
        self._examples = told[:MAX_EXAMPLES]
        rest = told[MAX_EXAMPLES:]
        asked = held_out.union(rest) if holds_out else set()
        self._asked = [text for text in utterances if text in asked]
        if rest and not holds_out:
            self._left_out(f"{_counted(rest)} beyond the {MAX_EXAMPLES} examples of a route; --suite keeps them")
        elif self._asked:
            self._note(Kind.DERIVED, f"{_counted(self._asked)} held out of the examples, for the suite")
        against, known = self._usable(route.not_utterances), set(utterances)
        self._not_examples = [text for text in against if text not in known][:MAX_EXAMPLES]
        if len(self._not_examples) < len(against):
            self._left_out(
                f"{_counted(against[len(self._not_examples) :])} of other routes, beyond the limits or in both lists"
            )

    def policy(self, models: tuple[ModelTarget, ...]) -> RoutePolicy:
        return RoutePolicy(
            id=self._id,
            domain="",
            action="",
            description=self._description(),
            models=models,
            examples=tuple(self._examples),
            not_examples=tuple(self._not_examples),
        )

    def cases(self) -> Iterator[SuiteCase]:
        for index, text in enumerate(self._asked, 1):
            yield SuiteCase(f"{self._id}: held-out utterance {index}", (Message(Role.USER, text),), self._id)

    def _description(self) -> str:
        description = self._route.description.strip()
        if not description and not self._examples:
            self._note(Kind.DERIVED, "has neither description nor utterances; its name stands in for them")
            description = " ".join(self._id.replace("_", " ").replace("-", " ").split()) or self._id
        if len(description) > MAX_DESCRIPTION_CHARACTERS:
            self._note(Kind.DERIVED, f"the description was cut to {MAX_DESCRIPTION_CHARACTERS} characters")
            description = description[:MAX_DESCRIPTION_CHARACTERS].strip()
        return description

    def _usable(self, texts: Sequence[str]) -> list[str]:
        stripped = [text.strip() for text in texts]
        usable = [text for text in dict.fromkeys(stripped) if 0 < len(text) <= MAX_EXAMPLE_CHARACTERS]
        if len(usable) < len(stripped):
            count = _counted(stripped[len(usable) :])
            self._left_out(f"{count}: empty, repeated, or longer than {MAX_EXAMPLE_CHARACTERS} characters")
        return usable

    def _left_out(self, text: str) -> None:
        self._note(Kind.LEFT_OUT, text)

    def _note(self, kind: Kind, text: str) -> None:
        self._notes.append(Note(kind, self._route.place, text))


def _counted(utterances: Sequence[str]) -> str:
    return f"{len(utterances)} utterance{'s' if len(utterances) > 1 else ''}"
