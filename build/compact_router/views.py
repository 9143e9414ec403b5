"""Draws policy sets from taxonomies, and turns with their right answer in each.

The same requests are cut into routes in many ways: every action, domains only, some actions with a route for the rest
of their domain, or a mixture; one domain or many, of one taxonomy or of several that do not overlap; in other words and
under other names. So the right answer follows from what the routes of the set say, never from a set known by heart.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from compact_model.inputs import Candidate
from data.augment.drawing import count_between

from compact_router.neighbours import Neighbours
from compact_router.slots import Slot, Turn
from compact_router.talk import Talk, TalkRoute
from compact_router.taxonomy import Example, Taxonomy, Unit, units_of
from compact_router.turns import TurnSampler
from compact_router.wordings import Meaning, Writer

FINE, COARSE, FALLBACK, MIXED = "fine", "coarse", "fallback", "mixed"
KINDS = {FINE: 0.42, COARSE: 0.26, FALLBACK: 0.2, MIXED: 0.12}
"""How often each way to cut requests into routes is drawn."""

MOST_CANDIDATES = 80
MOST_FOREIGN_UNITS = {FINE: 3, COARSE: 14, FALLBACK: 3, MIXED: 3}
FEW_DOMAINS = 4
"""Fewer domains than these are no set of domains; others are put in."""

WHOLE_TAXONOMY_SHARE = 0.45
FOREIGN_SHARE = 0.45
"""How often domains of other taxonomies are put in."""

PARTIAL_DOMAIN_SHARE = 0.3
"""How often some of a domain's actions are left out of a set of actions."""

FEW_ROUTES_SHARE = 0.2
MOST_FEW_ROUTES = 6
"""How often a set is cut down to a few of its routes."""

TALK_ROUTES_SHARE = 0.38
"""Sets with a route for small talk, for the rest, or both."""

NAMES_ONLY_SHARE = 0.12
"""Sets whose routes have names and no descriptions."""

EXAMPLES_SHARE = 0.25
"""Sets whose routes have examples."""

SOME_EXAMPLES_SHARE = 0.85
"""Routes of such a set that have some."""

NOT_EXAMPLES_SHARE = 0.35
BARE_EXAMPLES_SHARE = 0.25
NAMELESS_EXAMPLES_SHARE = 0.12
"""Sets with examples that have examples of what routes are not for, no descriptions, or no names either."""

MOST_EXAMPLES, MOST_NOT_EXAMPLES, MOST_EXAMPLES_OF_SET = 10, 3, 64
EXAMPLE_CHARACTERS = 300

REST_SHARE = 0.8
"""How often a domain that was written with a route for its rest keeps it beside its actions."""


@dataclass(frozen=True, slots=True)
class View:
    """A policy set and turns to be routed by it.

    Attributes:
        kind: ``fine``, ``coarse``, ``fallback`` or ``mixed``.
        candidates: The routes.
        turns: At least one.
    """

    kind: str
    candidates: tuple[Candidate, ...]
    turns: tuple[Turn, ...]


class ViewSampler:
    """Draws views; the same ones for the same material and source of choices."""

    def __init__(
        self,
        taxonomies: Sequence[Taxonomy],
        units: Sequence[Unit],
        neighbours: Neighbours,
        writer: Writer,
        weights: Mapping[str, float],
        *,
        talk: Talk | None = None,
        uses: Callable[[Example], bool] = lambda _: True,
    ) -> None:
        """Index the material.

        Args:
            taxonomies: All of it.
            units: Domains that may be used; the others are held out.
            neighbours: Which of them overlap.
            writer: Writes candidates.
            weights: Share of the views by source of their first domain; within a source, taxonomies weigh the same.
            talk: What is said around requests (default: what is trained with).
            uses: Whether a labelled turn may be used: training and measuring share none.
        """
        allowed = frozenset(units)
        self._domains = {unit: domain for unit, domain in units_of(taxonomies) if unit in allowed}
        self._neighbours, self._writer = neighbours, writer
        self._units: dict[str, list[Unit]] = defaultdict(list)
        for unit in self._domains:
            self._units[unit.taxonomy].append(unit)
        used = [taxonomy for taxonomy in taxonomies if taxonomy.name in self._units]
        counts = Counter(taxonomy.source for taxonomy in used)
        self._weights = {taxonomy.name: weights[taxonomy.source] / counts[taxonomy.source] for taxonomy in used}
        self._talk = talk or Talk()
        self._turns = TurnSampler(used, self._domains, neighbours, self._weights, self._talk, uses=uses)

    def draw(self, turn_count: int, random: Random) -> View:
        """Draw a policy set of at least two candidates, and at least one and at most ``turn_count`` turns."""
        while True:
            kind = random.choices(list(KINDS), list(KINDS.values()))[0]
            units = self._draw_units(kind, random)
            slots = self._draw_slots(kind, units, random)
            if not 1 < len(slots) <= MOST_CANDIDATES:
                continue
            names_only = random.random() < NAMES_ONLY_SHARE
            has_talk = random.random() < TALK_ROUTES_SHARE
            routes = self._talk.routes(random, names_only=names_only) if has_talk else ()
            drawn = (self._turns.draw(slots, units, routes, random) for _ in range(turn_count))
            if turns := tuple(turn for turn in drawn if turn is not None):
                meanings = [Meaning(slot.domain, slot.action, slot.is_whole) for slot in slots]
                candidates = self._writer.write(meanings, random, names_only=names_only)
                if random.random() < EXAMPLES_SHARE:
                    candidates = self._with_examples(candidates, slots, turns, random)
                talk = (_candidate_of(route, candidates, random) for route in routes)
                return View(kind, (*candidates, *talk), turns)

    def _with_examples(
        self, candidates: Sequence[Candidate], slots: Sequence[Slot], turns: Sequence[Turn], random: Random
    ) -> tuple[Candidate, ...]:
        """Give candidates texts of users that they are for, and now and then some that they are not for.

        What is asked in the view's turns is in none of them. Some sets are left with names and examples, or with
        examples alone.
        """
        asked = frozenset(message.content for turn in turns for message in turn.messages)
        most = min(MOST_EXAMPLES, max(1, MOST_EXAMPLES_OF_SET // len(slots)))
        count = count_between(1, most, random)
        not_count = MOST_NOT_EXAMPLES if random.random() < NOT_EXAMPLES_SHARE else 0
        is_bare, is_nameless = random.random() < BARE_EXAMPLES_SHARE, random.random() < NAMELESS_EXAMPLES_SHARE
        found = []
        for number, (candidate, slot) in enumerate(zip(candidates, slots, strict=True)):
            examples = self._texts(slot, slots, asked, random.randint((count + 1) // 2, count), random, is_for=True)
            not_examples = self._texts(slot, slots, asked, random.randint(0, not_count), random, is_for=False)
            if not examples or random.random() >= SOME_EXAMPLES_SHARE:
                found.append(candidate)
                continue
            left = Candidate(f"option_{number}", "", "", "") if is_nameless else candidate
            description = "" if is_bare else left.description
            found.append(replace(left, description=description, examples=examples, not_examples=not_examples))
        return tuple(found)

    def _texts(
        self,
        slot: Slot,
        slots: Sequence[Slot],
        asked: Collection[str],
        count: int,
        random: Random,
        *,
        is_for: bool,
    ) -> tuple[str, ...]:
        """Draw what users said on a route or on others of its domain, nothing of what is asked."""
        if not count:
            return ()
        texts = self._turns.texts_of(slot, slots, is_for=is_for)
        some = random.sample(texts, min(len(texts), 2 * count))
        return tuple(text[:EXAMPLE_CHARACTERS] for text in some if not any(text in each for each in asked))[:count]

    def _draw_units(self, kind: str, random: Random) -> tuple[Unit, ...]:
        name = random.choices(list(self._weights), list(self._weights.values()))[0]
        own = self._units[name]
        is_whole = random.random() < WHOLE_TAXONOMY_SHARE
        units = list(own) if is_whole else random.sample(own, random.randint(1, len(own)))
        if random.random() < FOREIGN_SHARE or (kind == COARSE and len(units) < FEW_DOMAINS):
            units += self._draw_foreign_units(units, random.randint(1, MOST_FOREIGN_UNITS[kind]), random)
        random.shuffle(units)
        return tuple(units)

    def _draw_foreign_units(self, units: Sequence[Unit], count: int, random: Random) -> list[Unit]:
        """Draw domains of other taxonomies that overlap neither with the set's own nor with each other."""
        name = units[0].taxonomy
        candidates = [unit for unit in self._domains if unit.taxonomy != name]
        random.shuffle(candidates)
        drawn: list[Unit] = []
        for unit in candidates:
            beside = [*units, *(each for each in drawn if each.taxonomy != unit.taxonomy)]
            if len(drawn) < count and not any(self._neighbours.overlap(unit, each) for each in beside):
                drawn.append(unit)
        return drawn

    def _draw_slots(self, kind: str, units: Sequence[Unit], random: Random) -> list[Slot]:
        slots: list[Slot] = []
        for unit in units:
            domain = self._domains[unit]
            form = random.choice((FINE, COARSE, FALLBACK)) if kind == MIXED else kind
            whole = Slot(unit, domain, None, is_whole=form == COARSE)
            actions = [Slot(unit, domain, action, is_whole=False) for action in domain.actions]
            if form == COARSE:
                slots.append(whole)
            elif form == FALLBACK:
                kept = random.sample(actions, random.randint(1, max(1, len(actions) - 1)))
                slots += [whole, *kept]
            else:
                if random.random() < PARTIAL_DOMAIN_SHARE and len(actions) > 1:
                    actions = random.sample(actions, random.randint(max(1, len(actions) // 2), len(actions) - 1))
                slots += actions
                if domain.rests and random.random() < REST_SHARE:
                    slots.append(whole)
        random.shuffle(slots)
        if random.random() < FEW_ROUTES_SHARE:
            slots = slots[: random.randint(2, MOST_FEW_ROUTES)]
        return slots


def _candidate_of(route: TalkRoute, beside: Sequence[Candidate], random: Random) -> Candidate:
    """Write a route for talk in the style of those beside it."""
    if not (beside[0].domain or beside[0].action):
        return Candidate(
            f"route_{random.randint(1000, 9999)}", "", "", route.description or route.name.replace("_", " ")
        )
    if random.random() < 0.5:  # noqa: PLR2004 - a share
        return Candidate(route.name, route.name, "", route.description)
    return Candidate(route.name, "", route.name, route.description)
