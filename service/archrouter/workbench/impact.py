"""What another policy set does to traffic: which turns change route, which change model, and at what price. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from archrouter.domain.policy import NO_MATCH_ID
from archrouter.workbench.statistics import Interval, wilson_interval

TELLING_COUNT = 12
"""Changed conversations that are listed: as many as somebody reads."""

_TOKENS_OF_A_PRICE = 1_000_000


@dataclass(frozen=True, slots=True)
class Side:
    """A decision under one of the two policy sets.

    Attributes:
        outcome: Name of the outcome, in lower case.
        route_id: The chosen route; empty where none was.
        model: The first model; what the turn costs depends on it.
        confidence: In [0, 1].
    """

    outcome: str
    route_id: str
    model: str
    confidence: float

    @property
    def route(self) -> str:
        """The route, or ``other``."""
        return self.route_id or NO_MATCH_ID


@dataclass(frozen=True, slots=True)
class ComparedTurn:
    """A turn under both.

    Attributes:
        id: What people find it by.
        policy_set_id: The old set.
        before: Under the old set.
        after: Under the new one.
        text: Its latest message; empty where it is not known.
        input_tokens: As the router counted them, >= 0.
    """

    id: str
    policy_set_id: str
    before: Side
    after: Side
    text: str = ""
    input_tokens: int = 0

    @property
    def changes_route(self) -> bool:
        """Whether another route is chosen, or none in place of one."""
        return self.before.route_id != self.after.route_id

    @property
    def changes_model(self) -> bool:
        """Whether another model comes first."""
        return self.before.model != self.after.model

    @property
    def sureness(self) -> float:
        """How sure both decisions are of themselves: the lower confidence of the two."""
        return min(self.before.confidence, self.after.confidence)


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its interval; both are None where there is nothing to divide by."""

    count: int
    total: int

    @property
    def value(self) -> float | None:
        """In [0, 1]."""
        return self.count / self.total if self.total else None

    @property
    def interval(self) -> Interval | None:
        """Wilson's."""
        return wilson_interval(self.count, self.total)


@dataclass(frozen=True, slots=True)
class Move:
    """Turns that went one way and go another; `before` and `after` are routes or models."""

    policy_set_id: str
    before: str
    after: str
    share: Share


@dataclass(frozen=True, slots=True)
class Price:
    """Price of a model per million tokens."""

    input: float
    output: float


@dataclass(frozen=True, slots=True)
class PriceList:
    """What models cost.

    Attributes:
        currency: For people.
        models: Prices by model.
        output_tokens: Assumed length of every answer.
    """

    currency: str
    models: Mapping[str, Price]
    output_tokens: int


@dataclass(frozen=True, slots=True)
class PriceDifference:
    """What the turns cost under both sets.

    Attributes:
        prices: What was assumed.
        turn_count: Turns whose models both have a price.
        before: Their price under the old set.
        after: Under the new one.
        unpriced: Models without a price, sorted.
    """

    prices: PriceList
    turn_count: int
    before: float
    after: float
    unpriced: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Impact:
    """The whole answer.

    Attributes:
        turns: Turns under both sets.
        unknown: Turns of which nothing can be said, counted by the reason.
        decided: What the old set decided, whether the new one is known or not: shares of each ``outcome``, ``route``
            and ``model``, the most frequent first.
        routes: Share that changes route.
        models: Share that changes the first model.
        route_moves: Of the turns that change route, the most frequent first.
        model_moves: Of the turns that change model, the most frequent first.
        telling: Changed turns of which both decisions are surest, at most `TELLING_COUNT`.
        price: None without prices.
    """

    turns: tuple[ComparedTurn, ...]
    unknown: Mapping[str, int]
    decided: Mapping[str, tuple[tuple[str, Share], ...]]
    routes: Share
    models: Share
    route_moves: tuple[Move, ...]
    model_moves: tuple[Move, ...]
    telling: tuple[ComparedTurn, ...]
    price: PriceDifference | None


def impact_of(
    turns: Sequence[ComparedTurn],
    unknown: Mapping[str, int] | None = None,
    prices: PriceList | None = None,
    decided: Sequence[Side] | None = None,
) -> Impact:
    """Sum up.

    Args:
        turns: Turns under both sets.
        unknown: Turns of which nothing can be said, by reason; None for none.
        prices: What models cost; None leaves prices out.
        decided: All decisions of the old set; None where the turns have them all.

    Returns:
        The figures. O(turns * log turns).
    """
    changed = [turn for turn in turns if turn.changes_route or turn.changes_model]
    return Impact(
        turns=tuple(turns),
        unknown=dict(unknown or {}),
        decided=_decided([turn.before for turn in turns] if decided is None else decided),
        routes=Share(sum(turn.changes_route for turn in turns), len(turns)),
        models=Share(sum(turn.changes_model for turn in turns), len(turns)),
        route_moves=_moves(
            [(one.policy_set_id, one.before.route, one.after.route) for one in turns if one.changes_route], len(turns)
        ),
        model_moves=_moves([("", one.before.model, one.after.model) for one in turns if one.changes_model], len(turns)),
        telling=tuple(sorted(changed, key=lambda turn: -turn.sureness)[:TELLING_COUNT]),
        price=_difference(turns, prices) if prices else None,
    )


def _decided(sides: Sequence[Side]) -> dict[str, tuple[tuple[str, Share], ...]]:
    names = {
        "outcome": [side.outcome for side in sides],
        "route": [side.route for side in sides],
        "model": [side.model for side in sides],
    }
    return {
        kind: tuple((name, Share(count, len(sides))) for name, count in Counter(values).most_common())
        for kind, values in names.items()
    }


def _moves(ways: Sequence[tuple[str, str, str]], total: int) -> tuple[Move, ...]:
    return tuple(Move(*way, Share(count, total)) for way, count in Counter(ways).most_common())


def _difference(turns: Sequence[ComparedTurn], prices: PriceList) -> PriceDifference:
    used = {side.model for turn in turns for side in (turn.before, turn.after)}
    priced = [turn for turn in turns if {turn.before.model, turn.after.model} <= prices.models.keys()]

    def total(sides: Sequence[tuple[str, int]]) -> float:
        """Add up what (model, input tokens) cost."""
        return sum(
            tokens * prices.models[model].input + prices.output_tokens * prices.models[model].output
            for model, tokens in sides
        ) / (_TOKENS_OF_A_PRICE)

    return PriceDifference(
        prices=prices,
        turn_count=len(priced),
        before=total([(turn.before.model, turn.input_tokens) for turn in priced]),
        after=total([(turn.after.model, turn.input_tokens) for turn in priced]),
        unpriced=tuple(sorted(used - prices.models.keys())),
    )
