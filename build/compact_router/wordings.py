"""Writes candidates in many words and under many names, as different authors of policies would."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from compact_model.inputs import Candidate
from data.augment.phrases import Wordings
from data.augment.wording import reworded_route
from data.records import make_route

from compact_router.taxonomy import Action, Domain

REWORDED_SHARE = 0.3
"""How often a chosen description is changed by rule as well."""

LISTED_SHARE = 0.35
"""How often a whole domain is described by what its actions are, though it has a description of its own."""

MOST_LISTED = 5

WRITTEN_REST_SHARE = 0.6
"""How often the route for a domain's rest keeps the description it was written with, where there is one."""

SHOWN_DOMAIN_SHARE = 0.8
"""Policy sets whose ids and domains name the domain; the others have actions only."""

NAMELESS_SHARE = 0.06
"""Policy sets whose ids say nothing."""

BARE_SHARE = 0.03
"""Candidates without a description."""

WHOLE_FORMS = (
    "Anything to do with {domain}, e.g. {listed}",
    "{Domain}: {listed}",
    "All {domain} requests, such as {listed}",
    "Everything about {domain}, including {listed}",
    "Requests in the area of {domain}: {listed}",
    "{listed}",
)
REST_FORMS = (
    "Any other request about {domain}",
    "Any other {domain} request that no action covers",
    "Everything else concerning {domain}",
    "General {domain} questions not covered by a more specific route",
    "Other matters of {domain}, for instance {listed}",
    "Fallback for {domain}: requests that fit none of its actions",
    "{whole}, when no more specific route fits",
    "Other {domain} topics. {whole}",
    "{whole}",
)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a candidate stands for.

    Attributes:
        domain: Its domain.
        action: Its action; None for the domain's own route.
        is_whole: Whether the domain's own route stands for all of its requests, rather than for what actions beside it
            leave over.
    """

    domain: Domain
    action: Action | None
    is_whole: bool


class Writer:
    """Writes candidates."""

    def __init__(self, wordings: Wordings) -> None:
        """Write with rules by which descriptions are changed."""
        self._wordings = wordings

    def write(self, routes: Sequence[Meaning], random: Random, *, names_only: bool = False) -> tuple[Candidate, ...]:
        """Write the routes of one policy set in one style, with unique ids, in the order given."""
        names_domains = random.random() < SHOWN_DOMAIN_SHARE
        is_nameless = random.random() < NAMELESS_SHARE and not names_only
        numbers = random.sample(range(1, 10 * len(routes) + 1), len(routes))
        return tuple(
            Candidate(f"route_{number}", "", "", self._description(route, random))
            if is_nameless
            else self._candidate(route, random, names_domain=names_domains, is_bare=names_only)
            for route, number in zip(routes, numbers, strict=True)
        )

    def _candidate(self, route: Meaning, random: Random, *, names_domain: bool, is_bare: bool) -> Candidate:
        description = "" if is_bare else self._description(route, random)
        domain = route.domain.name
        if route.action is None:
            return Candidate(domain, domain, "", description)
        if random.random() < BARE_SHARE:
            description = ""
        name = route.action.name
        if names_domain:
            return Candidate(f"{domain}_{name}", domain, name, description)
        return Candidate(name, "", name, description)

    def _description(self, route: Meaning, random: Random) -> str:
        domain = route.domain
        if route.action is not None:
            text = random.choice(route.action.descriptions)
        elif route.is_whole:
            text = self._whole(domain, random)
        elif domain.rests and random.random() < WRITTEN_REST_SHARE:
            text = random.choice(domain.rests)
        else:
            text = self._form(random.choice(REST_FORMS), domain, random)
        if random.random() < REWORDED_SHARE:
            text = reworded_route(make_route("route", "domain", "action", text), self._wordings, (), random).description
        return text

    def _whole(self, domain: Domain, random: Random) -> str:
        if domain.wholes and random.random() >= LISTED_SHARE:
            return random.choice(domain.wholes)
        return self._form(random.choice(WHOLE_FORMS), domain, random)

    def _form(self, form: str, domain: Domain, random: Random) -> str:
        words = " ".join(domain.name.replace("_", " ").replace("-", " ").split())
        count = min(len(domain.actions), random.randint(2, MOST_LISTED))
        listed = "; ".join(
            self._wordings.core(random.choice(action.descriptions)) for action in random.sample(domain.actions, count)
        )
        whole = random.choice(domain.wholes).rstrip(".") if domain.wholes else f"Anything to do with {words}"
        return form.format(domain=words, Domain=words.capitalize(), listed=listed, whole=whole)
