"""From a policy to conversational intents: who wants what, concretely."""

from collections.abc import Sequence
from dataclasses import dataclass

from archrouter.domain.policy import NO_MATCH_ID, PolicySet
from data.drafting.answers import IntentList
from data.drafting.caller import Caller, Question
from data.drafting.policy_sets import shown_routes
from data.drafting.prompts import PromptLibrary
from data.drafting.settings import AmountSettings, Role

_MIN_WORDS = 4


@dataclass(frozen=True, slots=True)
class IntentOrder:
    """Intents to be written.

    Attributes:
        policy_set: The set they belong to.
        target: The route they are for; ``other`` for intents that no route covers.
        count: How many.
    """

    policy_set: PolicySet
    target: str
    count: int

    @property
    def item(self) -> str:
        """Its name in the journal."""
        return f"{self.policy_set.id}/{self.target}"


@dataclass(frozen=True, slots=True)
class Intents:
    """Written intents.

    Attributes:
        texts: The intents, all different.
        digest: Of the request that they answer.
    """

    texts: tuple[str, ...]
    digest: str


def order_intents(policy_sets: Sequence[PolicySet], amounts: AmountSettings) -> list[IntentOrder]:
    """List the intents that the settings ask for: one order per route, and one per set for what no route covers."""
    orders = []
    for policy_set in policy_sets:
        orders += [IntentOrder(policy_set, route.id, amounts.intents_per_policy) for route in policy_set.routes]
        if amounts.uncovered_intents_per_set:
            orders.append(IntentOrder(policy_set, NO_MATCH_ID, amounts.uncovered_intents_per_set))
    return orders


class IntentWriting:
    """Writes intents."""

    def __init__(self, caller: Caller, prompts: PromptLibrary) -> None:
        """Write nothing yet."""
        self._caller = caller
        self._prompts = prompts

    async def write(self, order: IntentOrder) -> Intents:
        """Write the intents of one order.

        Raises:
            ItemError: When no usable answer came.
            StopError: When nothing more may be asked.
        """
        routes = shown_routes(order.policy_set)
        if order.target == NO_MATCH_ID:
            prompt = self._prompts.render("write_uncovered_intents", routes=routes, count=order.count)
        else:
            prompt = self._prompts.render("write_intents", routes=routes, count=order.count, route=order.target)

        def broken_rule(answer: IntentList) -> str:
            return broken_intent_rule(answer.intents, order.count)

        answer = await self._caller.ask(Question(Role.INTENT_WRITER, order.item, prompt, IntentList, broken_rule))
        return Intents(tuple(answer.value.intents), answer.digest)


def broken_intent_rule(intents: Sequence[str], count: int) -> str:
    """Name the first rule that the intents break; empty for none."""
    if len(intents) != count:
        return f"{len(intents)} intents; want {count}"
    if len({intent.casefold() for intent in intents}) != count:
        return "two intents are the same; make them differ"
    short = next((intent for intent in intents if len(intent.split()) < _MIN_WORDS), None)
    return "" if short is None else f"{short!r} says too little; name the person, the occasion and the request"
