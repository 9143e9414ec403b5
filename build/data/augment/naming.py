"""Renamed routes: the same policies under ids of other styles, as other teams would write them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random

from archrouter.domain.policy import MAX_ROUTE_ID_CHARACTERS, NO_MATCH_ID, RoutePolicy
from data.records import Record
from data.texts import content_stems, normalised

_PART = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])|[^\W_a-zA-Z0-9]+")
_DESCRIPTION_WORDS = 3
_MAX_NUMBER = 99

Words = Sequence[str]
Name = Sequence[Words]
"""Domain and action, each in words; one of them may be missing, but not both."""


def _flat(name: Name) -> Words:
    return [word for part in name for word in part]


def _camel(name: Name) -> str:
    first, *rest = _flat(name)
    return first + "".join(word.capitalize() for word in rest)


STYLES: Mapping[str, Callable[[Name], str]] = {
    "snake": lambda name: "_".join(_flat(name)),
    "kebab": lambda name: "-".join(_flat(name)),
    "camel": _camel,
    "pascal": lambda name: "".join(word.capitalize() for word in _flat(name)),
    "upper": lambda name: "_".join(_flat(name)).upper(),
    "dotted": lambda name: ".".join("_".join(part) for part in name),
    "path": lambda name: "/".join("-".join(part) for part in name),
    "title": lambda name: " ".join(_flat(name)).capitalize(),
    "reversed": lambda name: "_".join(_flat(name[::-1])),
}
"""How domain and action become an id."""


def renamed(record: Record, random: Random) -> Record | None:
    """Give every route another id, all in one style, and its labels with it; domains, actions and descriptions stay.

    The styles are those of `STYLES`, words of the description, and numbers that say nothing. None when all ids would
    stay.
    """
    style = random.choice([*STYLES, "description", "numbered"])
    if style == "numbered":
        prefix = random.choice(("route", "r", "policy-", "P", "intent_"))
        numbers = random.sample(range(1, max(_MAX_NUMBER, len(record.routes)) + 1), len(record.routes))
        wanted = [f"{prefix}{number}" for number in numbers]
    elif style == "description":
        wanted = ["_".join(_description_words(route)) for route in record.routes]
    else:
        wanted = [STYLES[style](_name(route)) for route in record.routes]
    ids = _unique(wanted)
    new_ids = {route.id: new for route, new in zip(record.routes, ids, strict=True)}
    if all(old == new for old, new in new_ids.items()):
        return None
    return record.changed(
        f"renamed:{style}",
        routes=[replace(route, id=new_ids[route.id]) for route in record.routes],
        turns=[
            replace(turn, route=new_ids.get(turn.route, turn.route)) if turn.route else turn for turn in record.turns
        ],
    )


def _name(route: RoutePolicy) -> Name:
    parts = [_words(part) for part in (route.domain, route.action)]
    return [part for part in parts if part] or [_words(route.id) or ["route"]]


def _words(text: str) -> Words:
    return [word.lower() for word in _PART.findall(text)]


def _description_words(route: RoutePolicy) -> Words:
    """Take the first words of a description that say something, whole."""
    stems = content_stems(route.description)
    telling = [word for word in normalised(route.description).split() if any(word.startswith(stem) for stem in stems)]
    return list(dict.fromkeys(telling))[:_DESCRIPTION_WORDS] or _flat(_name(route))


def _unique(wanted: Sequence[str]) -> list[str]:
    """Cut ids to the limit and number those that are taken or reserved."""
    ids: list[str] = []
    for text in wanted:
        base, number = text[: MAX_ROUTE_ID_CHARACTERS - 3].strip(), 1
        candidate = base
        while candidate in ids or candidate == NO_MATCH_ID:
            number += 1
            candidate = f"{base}_{number}"
        ids.append(candidate)
    return ids
