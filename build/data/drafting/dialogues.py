"""From an intent to a labelled dialogue: one model writes and labels it, another labels it without seeing those labels.

Where the two disagree on any user message the dialogue is thrown away and written again, because a label that two
careful readers do not share teaches a router nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from archrouter.domain.conversation import Message
from archrouter.domain.conversation import Role as Speaker
from archrouter.domain.policy import NO_MATCH_ID, PolicySet
from archrouter.evaluation.dataset import Label
from data.drafting.answers import DialogueReading, DialogueTurn, WrittenDialogue
from data.drafting.caller import Caller, Question
from data.drafting.errors import RejectedError, Rejection
from data.drafting.intents import IntentOrder, Intents
from data.drafting.ledger import Ledger
from data.drafting.policy_sets import route_names, shown_routes
from data.drafting.prompts import PromptLibrary
from data.drafting.settings import AmountSettings, Role, Settings
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


@dataclass(frozen=True, slots=True)
class LabelledDialogue:
    """A dialogue whose labels two models share.

    Attributes:
        messages: Oldest first; the first and the last are the user's.
        labels: One for each user message.
        attempt: Which of the dialogues written for the intent it is; 1 is the first.
        dialogue_digest: Of the request that it answers.
        reading_digest: Of the request that its second labelling answers.
    """

    messages: tuple[Message, ...]
    labels: tuple[Label, ...]
    attempt: int
    dialogue_digest: str
    reading_digest: str


class DialogueWriting:
    """Writes dialogues and has them read."""

    def __init__(self, caller: Caller, prompts: PromptLibrary, settings: Settings, ledger: Ledger) -> None:
        """Write nothing yet."""
        self._caller = caller
        self._prompts = prompts
        self._seed = settings.amounts.seed
        self._attempts = settings.attempts.dialogue
        self._account = ledger.accounts[Role.LABELLER]

    async def write(self, order: DialogueOrder) -> LabelledDialogue:
        """Write one dialogue until the second reader shares its labels.

        Raises:
            ItemError: When no attempt gave one, or a question got no answer.
            StopError: When nothing more may be asked.
        """
        reason, problem = Rejection.LABELS_DISAGREE, ""
        for attempt in range(1, self._attempts + 1):
            written = await self._caller.ask(self._writing(order, attempt, problem))
            messages, labels = messages_and_labels(written.value.turns)
            reading = await self._caller.ask(self._reading(order, attempt, messages, labels))
            problem = disagreement(labels, reading.value)
            reason = Rejection.LABELS_DISAGREE
            if not problem and not reading.value.coherent:
                reason, problem = Rejection.NOT_COHERENT, reading.value.problem or "it is not coherent"
            if not problem:
                return LabelledDialogue(messages, labels, attempt, written.digest, reading.digest)
            self._account.rejected[reason] += 1
        msg = f"{order.item}: {self._attempts} dialogues were thrown away; the last because {problem}"
        raise RejectedError(reason, msg)

    def _writing(self, order: DialogueOrder, attempt: int, problem: str) -> Question[WrittenDialogue]:
        prompt = self._prompts.render(
            "write_dialogue",
            routes=shown_routes(order.policy_set),
            other=NO_MATCH_ID,
            target=order.target,
            intent=order.intent,
            companion=order.companion,
            style=order.style.text,
            user_turn_count=order.user_turn_count,
            problem=problem,
        )

        def broken_rule(dialogue: WrittenDialogue) -> str:
            return broken_dialogue_rule(dialogue.turns, order)

        return Question(Role.DIALOGUE_WRITER, f"{order.item}/try-{attempt}", prompt, WrittenDialogue, broken_rule)

    def _reading(
        self, order: DialogueOrder, attempt: int, messages: Sequence[Message], labels: Sequence[Label]
    ) -> Question[DialogueReading]:
        item = f"{order.item}/try-{attempt}"
        # Another order of the routes than the writer saw: agreement must not come from a common liking for the first.
        routes = list(order.policy_set.routes)
        Random(f"{self._seed}/reading/{item}").shuffle(routes)  # noqa: S311  # reproducible data, not a secret
        numbers = [label.turn for label in labels]
        prompt = self._prompts.render(
            "label_dialogue",
            routes=shown_routes(order.policy_set, routes),
            other=NO_MATCH_ID,
            messages=[
                {"message": number, "role": message.role.value, "content": message.content}
                for number, message in enumerate(messages)
            ],
            user_message_numbers=numbers,
        )

        def broken_rule(reading: DialogueReading) -> str:
            return broken_reading_rule(reading, numbers, route_names(order.policy_set))

        return Question(Role.LABELLER, item, prompt, DialogueReading, broken_rule)


def messages_and_labels(turns: Sequence[DialogueTurn]) -> tuple[tuple[Message, ...], tuple[Label, ...]]:
    """Lay turns out as messages, without the last reply, which no label needs, and give each user message its label."""
    messages: list[Message] = []
    labels: list[Label] = []
    for turn in turns:
        labels.append(Label(len(messages), turn.route))
        messages += [Message(Speaker.USER, turn.user), Message(Speaker.ASSISTANT, turn.assistant)]
    return tuple(messages[:-1]), tuple(labels)


def disagreement(labels: Sequence[Label], reading: DialogueReading) -> str:
    """Say where the reader labels a message differently from the writer; empty when they agree."""
    read = {label.message: label.route for label in reading.labels}
    return "; ".join(
        f"user message {number} was meant as {label.route!r}, but a reader took it for {read[label.turn]!r}"
        for number, label in enumerate(labels, start=1)
        if read[label.turn] != label.route
    )


def broken_dialogue_rule(turns: Sequence[DialogueTurn], order: DialogueOrder) -> str:
    """Name the first rule of every dialogue that this one breaks; empty for none."""
    if len(turns) != order.user_turn_count:
        return f"{len(turns)} turns; want {order.user_turn_count}"
    names = route_names(order.policy_set)
    for number, turn in enumerate(turns, start=1):
        if not turn.user or not (turn.assistant or number == len(turns)):  # nobody sees the last reply
            return f"turn {number} has an empty message"
        if turn.route not in names:
            return f"turn {number} has the route {turn.route!r}, which is not one of those given"
        # A name of one word may be said by chance; one with an underscore is not how people talk.
        named = next((name for name in sorted(names) if "_" in name and name.casefold() in turn.user.casefold()), "")
        if named:
            return f"the user message of turn {number} names the route {named!r}"
    if all(turn.route != order.target for turn in turns):
        return f"no user message has the route {order.target!r}"
    return ""


def broken_reading_rule(reading: DialogueReading, numbers: Sequence[int], names: frozenset[str]) -> str:
    """Name the first message that a reader labelled wrongly or not at all; empty for none."""
    read = [label.message for label in reading.labels]
    if sorted(read) != sorted(numbers):
        return f"labels for the messages {read}; want exactly one for each of {list(numbers)}"
    unknown = next((label for label in reading.labels if label.route not in names), None)
    if unknown is not None:
        return f"message {unknown.message} has the route {unknown.route!r}, which is not one of those given"
    return ""
