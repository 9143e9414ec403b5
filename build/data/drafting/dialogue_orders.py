"""Which dialogues to write: every intent with a style, a length and, for some, a second route."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from archrouter.domain.policy import NO_MATCH_ID, PolicySet
from data.drafting.intents import IntentOrder, Intents
from data.drafting.settings import AmountSettings
from data.drafting.styles import Style, draw_style


@dataclass(frozen=True, slots=True)
class DialogueOrder:
    """A dialogue to be written.

    Attributes:
        item: Its name in the journal and in the data; unique.
        policy_set: The routes it is labelled with.
        target: The route its intent belongs to, or ``other``.
        companion: A second route that it also asks for; empty for none.
        intent: Who wants what.
        intent_digest: Of the request that gave the intent.
        style: How it goes.
        user_turn_count: How many user messages it has.
    """

    item: str
    policy_set: PolicySet
    target: str
    companion: str
    intent: str
    intent_digest: str
    style: Style
    user_turn_count: int


def order_dialogues(
    order: IntentOrder, intents: Intents, styles: tuple[Style, ...], amounts: AmountSettings
) -> list[DialogueOrder]:
    """Order the dialogues about a few intents; each depends on nothing but its own name and the seed."""
    return [
        _order(order, intents, number, f"{order.item}/{number + 1:03d}-{repetition + 1}", styles, amounts)
        for number in range(len(intents.texts))
        for repetition in range(amounts.dialogues_per_intent)
    ]


def _order(
    order: IntentOrder, intents: Intents, number: int, item: str, styles: tuple[Style, ...], amounts: AmountSettings
) -> DialogueOrder:
    others = _others(order)
    draw = draw_style(styles, amounts, item, may_change_route=bool(others))
    random = Random(f"{amounts.seed}/companion/{item}")  # noqa: S311  # reproducible data, not a secret
    return DialogueOrder(
        item=item,
        policy_set=order.policy_set,
        target=order.target,
        companion=random.choice(others) if draw.style.changes_route else "",
        intent=intents.texts[number],
        intent_digest=intents.digest,
        style=draw.style,
        user_turn_count=draw.user_turn_count,
    )


def _others(order: IntentOrder) -> Sequence[str]:
    """Name the routes a conversation may also turn to; one that no route covers stays with itself."""
    if order.target == NO_MATCH_ID:
        return ()
    return [route.id for route in order.policy_set.routes if route.id != order.target]
