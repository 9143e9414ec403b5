"""What a dialogue must be, and when two readers agree about it."""

import pytest
from data.drafting.answers import DialogueReading, DialogueTurn
from data.drafting.dialogues import (
    DialogueOrder,
    broken_dialogue_rule,
    broken_reading_rule,
    disagreement,
    messages_and_labels,
    order_dialogues,
)
from data.drafting.intents import IntentOrder, Intents, broken_intent_rule, order_intents
from data.drafting.settings import AmountSettings
from data.drafting.styles import Style

from archrouter.domain.conversation import Message
from archrouter.domain.conversation import Role as Speaker
from archrouter.domain.policy import PolicySet, RoutePolicy
from archrouter.evaluation.dataset import PLACEHOLDER_MODEL, Label

ROUTES = tuple(
    RoutePolicy(name, "shop", name, f"Requests about {name}", (PLACEHOLDER_MODEL,))
    for name in ("shop_refund", "tracking", "advice")
)
POLICY_SET = PolicySet("shop", "", ROUTES, (PLACEHOLDER_MODEL,))
STYLE = Style("plain", "Plain.", 1, 1, 6)
ORDER = DialogueOrder("shop/tracking/001-1", POLICY_SET, "tracking", "", "intent", "sha256:1", STYLE, 2)


def turns(*pairs: tuple[str, str], last_reply: str = "reply") -> list[DialogueTurn]:
    """Make a dialogue of (user message, route)."""
    replies = ["reply"] * (len(pairs) - 1) + [last_reply]
    return [
        DialogueTurn(user=user, route=route, assistant=reply)
        for (user, route), reply in zip(pairs, replies, strict=True)
    ]


def reading(*labels: tuple[int, str]) -> DialogueReading:
    """Make a reader's labels."""
    return DialogueReading.model_validate(
        {
            "labels": [{"message": number, "route": route} for number, route in labels],
            "coherent": True,
            "problem": "",
        }
    )


def test_messages_start_and_end_with_the_user() -> None:
    """The last reply is dropped, and each label points at its user message."""
    messages, labels = messages_and_labels(turns(("one", "tracking"), ("two", "other")))

    assert (
        Message(Speaker.USER, "one"),
        Message(Speaker.ASSISTANT, "reply"),
        Message(Speaker.USER, "two"),
    ) == messages
    assert (Label(0, "tracking"), Label(2, "other")) == labels


@pytest.mark.parametrize(
    ("dialogue", "problem"),
    [
        (turns(("a", "tracking"), ("b", "other")), ""),
        (turns(("a", "tracking"), ("b", "other"), last_reply=""), ""),
        (turns(("I need tracking advice", "tracking"), ("b", "other")), ""),
        (turns(("a", "tracking")), "1 turns; want 2"),
        (turns(("", "tracking"), ("b", "other")), "turn 1 has an empty message"),
        (turns(("a", "tracking"), ("b", "parcel")), "turn 2 has the route 'parcel', which is not one of those given"),
        (turns(("a", "other"), ("b", "advice")), "no user message has the route 'tracking'"),
        (turns(("use Shop_Refund", "tracking"), ("b", "other")), "the user message of turn 1 names the route"),
    ],
)
def test_dialogue_is_held_against_its_order(dialogue: list[DialogueTurn], problem: str) -> None:
    """Length, labels and target are those ordered, and nobody says the name of a route aloud."""
    found = broken_dialogue_rule(dialogue, ORDER)

    assert found.startswith(problem)
    assert bool(problem) == bool(found)


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ([(2, "other"), (0, "tracking")], ""),
        ([(0, "tracking")], "labels for the messages [0]; want exactly one for each of [0, 2]"),
        ([(0, "tracking"), (0, "tracking")], "labels for the messages [0, 0]"),
        ([(0, "tracking"), (1, "other")], "labels for the messages [0, 1]"),
        ([(0, "tracking"), (2, "nonsense")], "message 2 has the route 'nonsense'"),
    ],
)
def test_reading_labels_every_user_message_once(labels: list[tuple[int, str]], problem: str) -> None:
    """In any order, with names that exist."""
    found = broken_reading_rule(reading(*labels), [0, 2], frozenset({"tracking", "other"}))

    assert found.startswith(problem)
    assert bool(problem) == bool(found)


def test_disagreement_names_message_and_both_labels() -> None:
    """One different label is enough, and the writer is told which."""
    labels = (Label(0, "tracking"), Label(2, "other"))

    assert "" == disagreement(labels, reading((0, "tracking"), (2, "other")))
    assert "user message 2 was meant as 'other', but a reader took it for 'advice'" == disagreement(
        labels, reading((0, "tracking"), (2, "advice"))
    )


def test_intents_are_ordered_for_every_route_and_for_none() -> None:
    """Each policy gets its intents, and the set those that no policy covers."""
    orders = order_intents([POLICY_SET], AmountSettings(intents_per_policy=4, uncovered_intents_per_set=3))

    assert [("shop_refund", 4), ("tracking", 4), ("advice", 4), ("other", 3)] == [(o.target, o.count) for o in orders]
    assert 3 == len(order_intents([POLICY_SET], AmountSettings(uncovered_intents_per_set=0)))


@pytest.mark.parametrize(
    ("intents", "problem"),
    [
        (["Ada asks for her money back.", "Bo asks where his parcel is."], ""),
        (["Ada asks for her money back."], "1 intents; want 2"),
        (["Ada asks for her money back.", "ADA asks for her money back."], "two intents are the same"),
        (["Ada asks for her money back.", "Parcel?"], "'Parcel?' says too little"),
    ],
)
def test_intents_must_be_as_many_as_ordered_and_different(intents: list[str], problem: str) -> None:
    """Copies and catchwords are asked for again."""
    found = broken_intent_rule(intents, 2)

    assert found.startswith(problem)
    assert bool(problem) == bool(found)


def test_dialogue_orders_have_names_of_their_own_and_companions_where_the_style_asks() -> None:
    """A style that changes the route names a second one, never the target and never for uncovered requests."""
    changing = Style("changing", "Changes.", 1, 2, 3, changes_route=True)
    amounts = AmountSettings(dialogues_per_intent=3)
    intents = Intents(("first", "second"), "sha256:2")

    orders = order_dialogues(IntentOrder(POLICY_SET, "tracking", 2), intents, (changing,), amounts)
    uncovered = order_dialogues(IntentOrder(POLICY_SET, "other", 2), intents, (changing, STYLE), amounts)

    assert [f"shop/tracking/{intent:03d}-{copy}" for intent in (1, 2) for copy in (1, 2, 3)] == [o.item for o in orders]
    assert {o.companion for o in orders} <= {"shop_refund", "advice"}
    assert {("plain", "")} == {(o.style.id, o.companion) for o in uncovered}
