"""Scored conversations, written with one letter for each turn."""

from archrouter.domain.policy import ModelTarget, RoutePolicy
from archrouter.evaluation.dataset import Granularity
from archrouter.evaluation.turns import ScoredTurn, scenario_of


def make_route(route_id: str, action: str = "act") -> RoutePolicy:
    """Make a route; without an action it covers its domain."""
    return RoutePolicy(route_id, "domain", action, "when it is meant", (ModelTarget("m"),))


def scored(  # one for each thing a test may care about
    expected: str,
    predicted: str,
    *,
    conversation_id: str = "c1",
    setting: str = "s",
    source: str = "src",
    policy_set: str = "set",
    coarse: bool = False,
    confidence: float = 0.5,
) -> list[ScoredTurn]:
    """Build a conversation from one letter for each turn; ``o`` is ``other``, ``-`` a failed call."""
    names = {"o": "other", "-": None}
    granularity = Granularity.COARSE if coarse else Granularity.FINE
    return [
        ScoredTurn(
            conversation_id=conversation_id,
            setting=setting,
            source=source,
            policy_set=policy_set,
            scenario=scenario_of(granularity, None if right == "o" else make_route(right)),
            turn=2 * index,
            expected=names.get(right, right) or "",
            predicted=names.get(said, said),
            confidence=None if said == "-" else confidence,
        )
        for index, (right, said) in enumerate(zip(expected, predicted, strict=True))
    ]
