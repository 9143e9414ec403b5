"""``router.json`` of LiteLLM's auto router: the routes of semantic-router, each named like the model that answers.

Shape: LiteLLM's documentation of auto routing.
"""

import re
from dataclasses import replace

from archrouter.domain.policy import ModelTarget
from archrouter.workbench.foreign import semantic_router
from archrouter.workbench.foreign.facts import Facts, ForeignRoute, ForeignSet, Kind, Note, named

LOOKED_FOR = "'routes' with 'utterances' whose names are models, with a digit or a '/' in each (LiteLLM's router.json)"

_ID_WORDS = 3
_MIN_WORD_CHARACTERS = 4
"""Shorter words are mostly articles and the like, of no use in an id."""

_WORD = re.compile(r"[^\W_]+")
_OF_MODELS = re.compile(r"[\d/]")


def matches(facts: Facts) -> bool:
    """Say whether a configuration has the keys of this format, and names that look like models."""
    routes = facts.values.get("routes")
    if not semantic_router.matches(facts) or not isinstance(routes, list):
        return False
    names = [route.get("name") for route in routes if isinstance(route, dict)]
    return all(isinstance(name, str) and _OF_MODELS.search(name) for name in names)


def read(facts: Facts) -> ForeignSet:
    """Read the routes; a route's id comes from its description, since the model's name says nothing about requests."""
    return ForeignSet(tuple(_named(route, facts) for route in semantic_router.read_routes(facts)))


def _named(route: ForeignRoute, facts: Facts) -> ForeignRoute:
    models = (ModelTarget(route.name),)
    words = _WORD.findall(route.description.lower())
    words = ([word for word in words if len(word) >= _MIN_WORD_CHARACTERS] or words)[:_ID_WORDS]
    if not words:
        return replace(route, models=models)
    name = "_".join(words)
    note = f"{named(route.name)} is the route's model; its id {named(name)} is made of the description"
    facts.notes.append(Note(Kind.DERIVED, f"{route.place}.name", note))
    return replace(route, name=name, models=models)
