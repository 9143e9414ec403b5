"""Conversations made of others: a change of subject, a yes to an offer, thanks after an answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from compact_model.inputs import ASSISTANT, USER, Message
from data.augment.phrases import load_wordings
from data.texts import words

from compact_router.talk import (
    CHITCHAT,
    DECLINE,
    ENGLISH,
    GOODBYE,
    GREETING,
    SOCIAL_WEIGHTS,
    THANKS,
    Talk,
    exchange,
    lowered,
)
from compact_router.taxonomy import Example

AS_IT_IS, SWITCH, CONFIRM, CONTINUE, OTHER_OFFER = "as it is", "switch", "confirm", "continue", "other_offer"
OFFERS, OPTIONS = "offers", "options"

SHAPES = {AS_IT_IS: 0.58, SWITCH: 0.2, CONFIRM: 0.13, CONTINUE: 0.03, OTHER_OFFER: 0.06}
"""How often a conversation is made in each way of a request."""

CUE_SHARE = 0.4
PLAIN_SWITCH_SHARE = 0.35
"""Of the changes of subject: those that say so, and those with nothing around the request."""

CONTEXT_SHARES = {GREETING: 0.1, CHITCHAT: 0.3, THANKS: 0.8, GOODBYE: 0.75, DECLINE: 1.0}
"""How often a social message comes after a request and its answer."""

MOST_MESSAGES_BEFORE = 5

OPTIONS_SHARE = 0.12
OWN_LANGUAGE_SHARE = 0.8
SAID_SHARE = 0.85
"""Of pasted words: the assistants'; users' own are requests, and would be right answers of their own."""

_KIND_OF_WORD = {
    **dict.fromkeys(("bye", "goodbye"), GOODBYE),
    **dict.fromkeys(("hello", "hi", "hey"), GREETING),
    **dict.fromkeys(("thank", "thanks", "thankyou", "thx", "cheers"), THANKS),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request.

    Attributes:
        messages: Up to the request.
        language: ISO 639-1 code of what the user writes.
        is_clear: Whether it is understood by itself.
    """

    messages: tuple[Message, ...]
    language: str
    is_clear: bool


class Dialogues:
    """Makes conversations."""

    def __init__(self, talk: Talk, examples: Sequence[Example]) -> None:
        """Take words for pasted text, and the sources' own answers, from labelled turns."""
        self._talk = talk
        said = {each.content for example in examples for each in example.messages if each.role == ASSISTANT}
        asked = {example.messages[-1].content for example in examples if not example.is_offer}
        self._said = sorted(each for each in said if len(words(each)) > 5) or ["All is well."]  # noqa: PLR2004
        self._asked = sorted(asked) or ["What is new?"]
        self._answers = _answers(examples)

    def shape(self, asked: Asked, *, is_known: bool, random: Random) -> str:
        """Draw what is made of a request; ``is_known``: whether a route of the set is right for it."""
        shape = random.choices(list(SHAPES), list(SHAPES.values()))[0]
        fits = {AS_IT_IS: True, SWITCH: asked.is_clear, CONFIRM: True, CONTINUE: is_known, OTHER_OFFER: is_known}
        return shape if fits[shape] else AS_IT_IS

    def as_it_is(self, asked: Asked, random: Random) -> tuple[str, tuple[Message, ...]]:
        """Dress a request, nothing before it; gives the way as well."""
        way, latest = self._talk.dress(asked.messages, asked.language, self._texts, random, is_clear=asked.is_clear)
        return way, (*asked.messages[:-1], Message(USER, latest))

    def make(
        self, shape: str, asked: Asked, other: tuple[Message, ...], core: str, random: Random
    ) -> tuple[Message, ...]:
        """Make a conversation whose right route is the request's.

        Args:
            shape: What to make.
            asked: The request.
            other: Another conversation, on a route of the same set as a rule; may be empty.
            core: What the request's route covers; empty for no route or a whole domain.
            random: Where the choices come from.
        """
        core = load_wordings().core(core) if core else ""
        other = other[-MOST_MESSAGES_BEFORE:] if other else ()
        if other and other[0].role == ASSISTANT:
            other = other[1:]
        if shape == SWITCH:
            return (*self._answered(other, "", random), Message(USER, self._switched(asked, random)))
        if shape == OTHER_OFFER and core and other:
            name = "other_offers"
            offer = self._talk.say(name, random, core=core, asked=asked.messages[-1].content)
            before = self._answered(other, offer, random)
        else:
            name, offer = self._offer(asked, core, random)
            before = self._offered(asked.messages, offer, shape, core, random)
        return (*before, Message(USER, self._agreed(CONTINUE if shape == CONTINUE else name, asked.language, random)))

    def taken_up(self, offered: tuple[Message, ...], language: str, random: Random) -> tuple[Message, ...]:
        """Say yes to an offer."""
        return (*offered, Message(USER, self._agreed(OFFERS, language, random)))

    def social(
        self, before: tuple[Message, ...], random: Random, language: str = ENGLISH
    ) -> tuple[str, tuple[Message, ...], str]:
        """Make a social message, now and then after a conversation; gives its kind and its language as well."""
        kind = random.choices(list(SOCIAL_WEIGHTS), list(SOCIAL_WEIGHTS.values()))[0]
        text, said_in = self._talk.social(kind, random, language)
        message = Message(USER, text)
        if kind == DECLINE and before and before[-1].role == ASSISTANT:
            return kind, (*before, message), said_in
        if not before or random.random() >= CONTEXT_SHARES[kind]:
            return kind, (message,), said_in
        offers_in = self._talk.language_of(language, OFFERS)
        offer = self._talk.say(OFFERS, random, language=offers_in, asked=before[-1].content) if kind == DECLINE else ""
        return kind, (*self._answered(before, offer, random), message), said_in

    def _switched(self, asked: Asked, random: Random) -> str:
        request = asked.messages[-1].content
        if asked.language != ENGLISH or random.random() < PLAIN_SWITCH_SHARE:
            return request
        name = "cues" if random.random() < CUE_SHARE else "after_answers"
        if name == "cues":
            return f"{lowered(self._talk.say(name, random), random)} {request}"
        return self._talk.lead_in(request, name, random)

    def _agreed(self, to: str, language: str, random: Random) -> str:
        """Take up an offer, by the list that it is from, or ask for more."""
        name = {CONTINUE: "continuations", OPTIONS: "choices"}.get(to, "confirmations")
        return lowered(self._talk.say(name, random, language=self._talk.language_of(language, name)), random)

    def _offer(self, asked: Asked, core: str, random: Random) -> tuple[str, str]:
        """Offer to do what is asked for, mostly in the user's language; gives the name of the list as well."""
        is_foreign = self._talk.language_of(asked.language, OFFERS) != ENGLISH
        if is_foreign and random.random() < OWN_LANGUAGE_SHARE:
            return OFFERS, self._talk.say(OFFERS, random, language=asked.language)
        name = OPTIONS if not is_foreign and random.random() < OPTIONS_SHARE else OFFERS
        return name, self._talk.say(name, random, core=core, asked=asked.messages[-1].content)

    def _offered(
        self, messages: tuple[Message, ...], offer: str, shape: str, core: str, random: Random
    ) -> tuple[Message, ...]:
        """Answer a request with an offer; a request that is to be continued was answered."""
        answer = self._answers.get(messages[-1].content) if random.random() < 0.5 else None  # noqa: PLR2004 - a share
        answer = answer or (self._talk.say("answers", random, core=core) if random.random() < 0.4 else "")  # noqa: PLR2004
        if shape == CONTINUE:
            return (*messages, Message(ASSISTANT, answer or self._talk.say("answers", random, core=core)))
        return (*messages, Message(ASSISTANT, f"{answer} {offer}".strip()))

    def _answered(self, messages: tuple[Message, ...], offer: str, random: Random) -> tuple[Message, ...]:
        if messages and messages[-1].role == ASSISTANT:
            messages = messages[:-1]
        if not messages:
            return exchange(random.choice(self._asked), f"{self._talk.say('answers', random)} {offer}".strip())
        answer = self._answers.get(messages[-1].content) if random.random() < 0.8 else None  # noqa: PLR2004 - a share
        return (*messages, Message(ASSISTANT, f"{answer or self._talk.say('answers', random)} {offer}".strip()))

    def _texts(self, random: Random) -> str:
        return random.choice(self._said if random.random() < SAID_SHARE else self._asked)


def social_kind(text: str) -> str | None:
    """Say of which kind a social message is, where a word tells."""
    return next((_KIND_OF_WORD[word] for word in words(text) if word in _KIND_OF_WORD), None)


def _answers(examples: Sequence[Example]) -> dict[str, str]:
    """List what assistants answered, by what the user had said."""
    found: dict[str, str] = {}
    for example in (each for each in examples if not each.is_offer):
        for before, after in zip(example.messages, example.messages[1:], strict=False):
            if before.role == USER and after.role == ASSISTANT:
                found.setdefault(before.content, after.content)
    return found
