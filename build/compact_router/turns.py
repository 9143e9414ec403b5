"""Draws conversations, and finds the candidate of a policy set that is right for them."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from random import Random

from data.augment.drawing import pick
from data.augment.pool import may_fit
from data.records import make_route

from compact_router.dialogues import AS_IT_IS, CONFIRM, Asked, Dialogues, social_kind
from compact_router.neighbours import Neighbours
from compact_router.slots import Slot, Turn
from compact_router.talk import ENGLISH, UNSPACED, Talk, TalkRoute, noisy
from compact_router.taxonomy import OTHER, Domain, Example, Taxonomy, Unit

KNOWN_SHARE = 0.82
KNOWN_SHARE_WITH_TALK = 0.64
"""Turns drawn by a candidate of the set; the others fit no candidate as a rule, or one for all the rest. More of them
beside a route for small talk or for the rest: that small talk is not all that other routes leave over is to be learned.
"""

SOCIAL, LEFT_OVER, LEFT_OUT, FOREIGN = "social", "left over", "left out", "foreign"
UNKNOWN_SHARES = {LEFT_OVER: 0.35, LEFT_OUT: 0.3, FOREIGN: 0.35}
"""Turns drawn without a candidate: turns that fit no route of their taxonomy, turns of actions and domains of the set's
taxonomies that the set leaves out, and turns of other taxonomies."""

SOCIAL_SHARE = 0.14
SOCIAL_SHARE_WITH_ROUTES = 0.3
"""Turns that are thanks, greetings and small talk, in a set without and with routes for them."""

MISSING_ACTION_WEIGHT = 0.6
"""How often a domain's own route is drawn for each action it stands in for; an action's route is drawn once."""

WRITTEN_SOCIAL_SHARE = 0.3
"""How often a social turn is one of the sources', not made of phrases."""

SAME_ROUTE_SHARE = 0.25
"""How often what comes before a request may be on the same route."""

FEWEST_WORDS = 4
"""Of a request that is understood by itself."""

LETTERS_OF_A_WORD = 2
"""On average, in languages without spaces."""

TRIES, TRIES_BESIDE_TALK = 30, 12
"""Drawings of a turn before none is found; so many of them are for the kind of turn that was wanted beside talk, since
most turns drawn without a candidate turn out to have one that may fit."""

_UNKNOWN = "?"
"""Stands for the action of turns of which only the domain is known."""


class TurnSampler:
    """Draws turns and finds their right answer among slots."""

    def __init__(
        self,
        taxonomies: Sequence[Taxonomy],
        domains: Mapping[Unit, Domain],
        neighbours: Neighbours,
        weights: Mapping[str, float],
        talk: Talk,
        *,
        uses: Callable[[Example], bool],
    ) -> None:
        """Index the conversations.

        Args:
            taxonomies: Those of the domains.
            domains: Domains that may be used.
            neighbours: Which of them overlap.
            weights: Share by taxonomy of the turns that are foreign to a set.
            talk: What is said around requests.
            uses: Whether a labelled turn may be used.
        """
        self._domains, self._neighbours = domains, neighbours
        self._names, self._weights = list(weights), list(weights.values())
        self._source = {taxonomy.name: taxonomy.source for taxonomy in taxonomies}
        self._units: dict[str, list[Unit]] = defaultdict(list)
        for unit in domains:
            self._units[unit.taxonomy].append(unit)
        self._examples: dict[tuple[Unit, str | None], list[Example]] = defaultdict(list)
        self._others: dict[str, list[Example]] = defaultdict(list)
        self._social: list[Example] = []
        for taxonomy in taxonomies:
            self._index(taxonomy, uses)
        used = [*self._social, *(each for some in self._others.values() for each in some)]
        used += [each for some in self._examples.values() for each in some]
        self._dialogues = Dialogues(talk, used)

    def _index(self, taxonomy: Taxonomy, uses: Callable[[Example], bool]) -> None:
        for example in taxonomy.examples:
            unit = Unit(taxonomy.name, example.domain)
            if not uses(example):
                continue
            if unit in self._domains:
                self._examples[unit, example.action if example.is_known_exactly else _UNKNOWN].append(example)
            elif example.domain == OTHER:
                self._others[taxonomy.name].append(example)
                if example.is_social:
                    self._social.append(example)

    def draw(
        self, slots: Sequence[Slot], units: Sequence[Unit], routes: Sequence[TalkRoute], random: Random
    ) -> Turn | None:
        """Draw a turn for a policy set that was drawn from the given domains, its talk routes after its slots.

        Returns:
            The turn; None when none was found whose right answer is certain.
        """
        is_social, is_known = random.random() < SOCIAL_SHARE_WITH_ROUTES, random.random() < KNOWN_SHARE_WITH_TALK
        for attempt in range(TRIES):
            if not routes or attempt >= TRIES_BESIDE_TALK:
                is_social, is_known = random.random() < SOCIAL_SHARE, random.random() < KNOWN_SHARE
            if is_social:
                turn = self._social_turn(slots, routes, random)
            else:
                turn = self._request(slots, units, routes, random, is_known=is_known)
            if turn is not None:
                return turn
        return None

    def _social_turn(self, slots: Sequence[Slot], routes: Sequence[TalkRoute], random: Random) -> Turn | None:
        found = pick(self._social, random) if random.random() < WRITTEN_SOCIAL_SHARE else None
        if found is not None and routes and found.language != ENGLISH:
            found = None  # of which kind it is, is not known
        kind: str | None
        if found is not None:
            kind, messages = social_kind(found.messages[-1].content), noisy(found.messages, random)
            name, language = found.conversation_id, found.language
        else:
            _, before = self._draw_known(slots, random)
            said = (before.messages, before.language) if before is not None else ((), ENGLISH)
            kind, messages, language = self._dialogues.social(said[0], random, said[1])
            name = f"talk/{kind}"
        label = _social_label(kind, len(slots), routes)
        return Turn(name, messages, label, SOCIAL, kind or SOCIAL, language) if label is not None else None

    def _request(
        self,
        slots: Sequence[Slot],
        units: Sequence[Unit],
        routes: Sequence[TalkRoute],
        random: Random,
        *,
        is_known: bool,
    ) -> Turn | None:
        taxonomy, example = self._draw_known(slots, random) if is_known else self._draw_unknown(slots, units, random)
        if example is None:
            return None
        if example.is_social and routes and example.language != ENGLISH:
            return None  # of which kind it is, is not known
        if example.is_social:
            label = _social_label(social_kind(example.messages[-1].content), len(slots), routes)
            messages = noisy(example.messages, random)
            found = Turn(example.conversation_id, messages, label or 0, SOCIAL, SOCIAL, example.language)
            return found if label is not None else None
        label = self._label(taxonomy, example, slots)
        if label is None or (label == len(slots) and routes and not _asks_clearly(example)):
            return None
        if example.is_offer:
            messages = self._dialogues.taken_up(example.messages, example.language, random)
            taker = _taker(label, slots, routes)
            return Turn(example.conversation_id, messages, taker, self._source[taxonomy], CONFIRM, example.language)
        asked = Asked(noisy(example.messages, random), example.language, is_clear=_asks_clearly(example))
        kind = self._dialogues.shape(asked, is_known=label < len(slots), random=random)
        if kind == AS_IT_IS:
            kind, messages = self._dialogues.as_it_is(asked, random)
        else:
            slot = slots[label] if label < len(slots) else None
            core = slot.action.descriptions[0] if slot is not None and slot.action is not None else ""
            other_slots = (
                slots if random.random() < SAME_ROUTE_SHARE or slot is None else [s for s in slots if s != slot]
            )
            _, other = self._draw_known(other_slots or slots, random)
            messages = self._dialogues.make(kind, asked, other.messages if other is not None else (), core, random)
        taker = _taker(label, slots, routes)
        return Turn(example.conversation_id, messages, taker, self._source[taxonomy], kind, example.language)

    def _draw_unknown(self, slots: Sequence[Slot], units: Sequence[Unit], random: Random) -> tuple[str, Example | None]:
        kind = random.choices(list(UNKNOWN_SHARES), list(UNKNOWN_SHARES.values()))[0]
        if kind == FOREIGN:
            return self._draw_foreign(slots, units, random)
        name = random.choice(units).taxonomy
        if kind == LEFT_OVER:
            return name, pick(self._others.get(name, []), random)
        shown = {(slot.unit, slot.action.name) for slot in slots if slot.action is not None}
        left_out = [
            (unit, action.name)
            for unit in self._units[name]
            for action in self._domains[unit].actions
            if (unit, action.name) not in shown
        ]
        chosen = pick(left_out, random)
        return name, pick(self._examples.get(chosen, []), random) if chosen is not None else None

    def _draw_known(self, slots: Sequence[Slot], random: Random) -> tuple[str, Example | None]:
        """Draw a turn by the candidate that is right for it."""
        missing = [self._missing(slot, slots) for slot in slots]
        weights = [
            1.0 if slot.action is not None else max(1.0, MISSING_ACTION_WEIGHT * len(names))
            for slot, names in zip(slots, missing, strict=True)
        ]
        place = random.choices(range(len(slots)), weights)[0]
        slot = slots[place]
        name = slot.action.name if slot.action is not None else pick(missing[place], random)
        return slot.unit.taxonomy, pick(self._examples.get((slot.unit, name), []), random)

    def _missing(self, slot: Slot, slots: Sequence[Slot]) -> list[str | None]:
        """List what a domain's own route stands in for: actions that have no slot, and turns of no known action."""
        if slot.action is not None:
            return []
        shown = {each.action.name for each in slots if each.unit == slot.unit and each.action is not None}
        names = (*(action.name for action in slot.domain.actions), None, _UNKNOWN)
        return [name for name in names if name not in shown and (slot.unit, name) in self._examples]

    def texts_of(self, slot: Slot, slots: Sequence[Slot], *, is_for: bool) -> list[str]:
        """List what users said in English on a route by itself, or on others of its domain."""
        names = [slot.action.name] if slot.action is not None else self._missing(slot, slots)
        if not is_for:
            taken = {each.action.name for each in slots if each.unit == slot.unit and each.action is not None}
            kin = [each.name for each in slot.domain.actions]
            names = [name for name in kin if name not in names and (slot.action is not None or name in taken)]
        examples = (example for name in names for example in self._examples.get((slot.unit, name), ()))
        alone = (each for each in examples if len(each.messages) == 1 and each.language == ENGLISH)
        return list(dict.fromkeys(each.messages[-1].content for each in alone))

    def _draw_foreign(self, slots: Sequence[Slot], units: Sequence[Unit], random: Random) -> tuple[str, Example | None]:
        """Draw a turn of another taxonomy, or of a domain of the set's own that was left out."""
        name = random.choices(self._names, self._weights)[0]
        unit = random.choice(self._units[name])
        others = [each for each in units if each.taxonomy != name]
        action = random.choice(self._domains[unit].actions)
        example = pick(self._examples.get((unit, action.name), []), random)
        if example is None:
            return name, None
        if self._neighbours.cuts_everything(name) and others:
            text = example.messages[-1].content
            routes = [make_route("r", "", "", slot.gist) for slot in slots]
            unfit = (
                len(example.messages) > 1
                or any(self._neighbours.cuts_everything(each.taxonomy) for each in others)
                or any(self._neighbours.is_near(unit, each) for each in others)
                or any(may_fit([text], route) for route in routes)
            )
            return name, None if unfit else example
        if any(self._neighbours.overlap(unit, each) for each in others):
            return name, None
        return name, example

    def _label(self, taxonomy: str, example: Example, slots: Sequence[Slot]) -> int | None:
        """Find the right candidate; None where it is not certain."""
        if example.domain == OTHER:
            # Such a turn fits no route of its own taxonomy; of another one's, that is not known.
            return len(slots) if all(slot.unit.taxonomy == taxonomy for slot in slots) else None
        unit = Unit(taxonomy, example.domain)
        rest = None
        for index, slot in enumerate(slots):
            if slot.unit == unit and slot.action is None:
                rest = index
            elif slot.unit == unit and slot.action is not None and example.is_known_exactly:
                if slot.action.name == example.action:
                    return index
            elif slot.unit == unit:
                return None
        if example.action is not None and any(
            slot.action is not None
            and slot.unit.taxonomy == taxonomy
            and self._neighbours.may_do(taxonomy, (example.domain, example.action), slot.action.key)
            for slot in slots
        ):
            return None
        return len(slots) if rest is None else rest


def _asks_clearly(example: Example) -> bool:
    """Say whether a turn is a request that is understood by itself."""
    text = example.messages[0].content
    length = len(text) / LETTERS_OF_A_WORD if example.language in UNSPACED else len(text.split())
    return len(example.messages) == 1 and length >= FEWEST_WORDS


def _taker(label: int, slots: Sequence[Slot], routes: Sequence[TalkRoute]) -> int:
    """Give a request that no slot takes to the route for the rest, where there is one."""
    if label < len(slots):
        return label
    return label + next((index for index, each in enumerate(routes) if each.takes_rest), len(routes))


def _social_label(kind: str | None, slot_count: int, routes: Sequence[TalkRoute]) -> int | None:
    """Find the route of a social message; None where it is not certain."""
    if kind is None and routes:
        return None
    narrow = sorted(enumerate(routes), key=lambda each: each[1].takes_rest)
    for index, route in narrow:
        if kind in route.covers:
            return slot_count + index
        if kind in route.unsure:
            return None
    return slot_count + len(routes)
