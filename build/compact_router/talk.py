"""What people say around a request, and what clients put there: drawn from phrases, with the right answer unchanged.

A lead-in, a closing, a change of subject, a yes to an offer, pasted text. The phrases are in ``wordings/talk.yaml``;
those of other languages in ``wordings/languages``, which has fewer lists. Each sixth phrase of a list is never trained
on, but measured with.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import yaml
from compact_model.inputs import ASSISTANT, USER, Message
from data.augment.noise import CASINGS, mistyped

WORDINGS = Path(__file__).parent / "wordings"
TALK = WORDINGS / "talk.yaml"
LANGUAGES = WORDINGS / "languages"
ENGLISH = "en"

HELD_OUT_EVERY = 6
"""One phrase of so many in each list is kept for measuring."""

GREETING, CHITCHAT, THANKS, GOODBYE, DECLINE = SOCIAL_KINDS = ("greeting", "chitchat", "thanks", "goodbye", "decline")
SOCIAL_WEIGHTS = {GREETING: 0.26, CHITCHAT: 0.24, THANKS: 0.28, GOODBYE: 0.12, DECLINE: 0.1}

COVERED, UNSURE = "covered", "unsure"

PLAIN, LEAD_IN, CLOSING, NOISE, PASTE = "plain", "lead_in", "closing", "noise", "paste"
DRESSES = {PLAIN: 0.44, LEAD_IN: 0.26, CLOSING: 0.1, NOISE: 0.1, PASTE: 0.1}
"""How often a request is dressed in each way."""

TYPING_MISTAKE_SHARE = 0.15
MISTAKE_PER_WORD = 0.1
CASING_SHARE = 0.1
MIN_MISTYPED_LETTERS = 5
"""How often what the user writes is noisy, and in which way."""

UNSPACED = ("ja", "zh")
"""Languages whose sentences have no space between them."""

FOREIGN_SOCIAL_SHARE = 0.2
"""Of the greetings and thanks that come after nothing in another language: those that all the world knows."""

SECOND_PHRASE_SHARE = 0.35
BOTH_ENDS_SHARE = 0.25
LOWERED_SHARE = 0.3
LONG_PASTE_SHARE = 0.4
PAGE_SHARE = 0.65
"""Of the blocks of pasted text: prose, code and tables; the others are other conversations' words."""

LINE_BREAK_SHARE = 0.2
TEXT_CHARACTERS = 320

_CHOICE = re.compile(r"\[([^\[\]]*\|[^\[\]]*)\]")

Texts = Callable[[Random], str]
"""Draws words of another conversation."""


@dataclass(frozen=True, slots=True)
class TalkRoute:
    """A route for talk itself, or for all that no other route takes.

    Attributes:
        name: Its name.
        description: May be empty.
        covers: Kinds of social message that are its own.
        unsure: Kinds that may or may not be.
        takes_rest: Whether requests without a route are its own.
    """

    name: str
    description: str
    covers: frozenset[str]
    unsure: frozenset[str]
    takes_rest: bool


class Talk:
    """Draws phrases."""

    def __init__(self, *, is_measured: bool = False) -> None:
        """Read the phrases to train with, or those to measure with."""
        own = _read(TALK)
        documents = {ENGLISH: own, **{path.stem: _read(path) for path in sorted(LANGUAGES.glob("*.yaml"))}}
        self._lists: dict[tuple[str, str], Sequence[str]] = {
            (language, name): _part(each, is_measured=is_measured)
            for language, document in documents.items()
            for name, each in (*document.items(), *document["social"].items())
            if isinstance(each, list)
        }
        self._foreign = [each for each in documents if each != ENGLISH]
        small_talk = _part(own["small_talk"], is_measured=is_measured)
        catch_alls = _part(own["catch_alls"], is_measured=is_measured)
        self._small_talk = [_small_talk(each) for each in small_talk]
        self._catch_alls = [_catch_all(each) for each in catch_alls]

    def language_of(self, language: str, name: str) -> str:
        """Give the language, or English where it has no list of this name."""
        return language if (language, name) in self._lists else ENGLISH

    def say(
        self,
        name: str,
        random: Random,
        *,
        language: str = ENGLISH,
        core: str = "",
        asked: str = "",
        texts: Texts | None = None,
    ) -> str:
        """Draw a phrase of a list, about a route or a request, with words of other conversations where it has room."""
        phrase = expand(random.choice(self._lists[language, name]), random)
        if texts is not None:
            phrase = re.sub(r"\{text\}", lambda _: texts(random)[:TEXT_CHARACTERS], phrase)
        return phrase.replace("{core}", core or "that").replace("{asked}", asked[:TEXT_CHARACTERS] or "this")

    def social(self, kind: str, random: Random, language: str = ENGLISH) -> tuple[str, str]:
        """Draw a message that asks for nothing, after words in a language; gives its own language as well."""
        language = self.language_of(language, kind)
        if language == ENGLISH and kind in (GREETING, THANKS) and random.random() < FOREIGN_SOCIAL_SHARE:
            language = random.choice(self._foreign)
        return lowered(self.say(kind, random, language=language), random), language

    def routes(self, random: Random, *, names_only: bool) -> tuple[TalkRoute, ...]:
        """Draw a route for small talk, one for the rest, both, in equal parts."""
        wants = random.randrange(3)
        pools = [self._small_talk] * (wants != 1) + [self._catch_alls] * (wants != 0)
        drawn = [
            random.choice([each for each in pool if not names_only or not each.description] or pool) for pool in pools
        ]
        return tuple(drawn)

    def dress(
        self, messages: tuple[Message, ...], language: str, texts: Texts, random: Random, *, is_clear: bool
    ) -> tuple[str, str]:
        """Dress the latest message, a request; gives the way that was drawn and the new text.

        Among other text only a request that is understood by itself (``is_clear``) can be told.
        """
        latest = messages[-1].content
        way = random.choices(list(DRESSES), list(DRESSES.values()))[0]
        if way in (NOISE, PASTE) and not is_clear:
            return PLAIN, latest
        if language != ENGLISH and way != NOISE:
            return self._dress_foreign(way, latest, language, random)
        if way == LEAD_IN:
            is_later = len(messages) > 1 and random.random() < 0.75  # noqa: PLR2004 - a share
            latest = self.lead_in(latest, "after_answers" if is_later else "lead_ins", random)
            if random.random() < BOTH_ENDS_SHARE:
                latest = _joined(latest, self.say("closings", random), random)
        elif way == CLOSING:
            latest = _joined(latest, lowered(self.say("closings", random), random), random)
        elif way == NOISE:
            latest = self._with_noise(latest, texts, random)
        elif way == PASTE:
            latest = self._with_paste(latest, texts, random)
        return way, latest

    def lead_in(self, request: str, name: str, random: Random) -> str:
        """Put one or two phrases of a list before a request."""
        said = self.say(name, random)
        if random.random() < SECOND_PHRASE_SHARE:
            said = f"{said} {self.say('lead_ins', random)}"
        return _joined(lowered(said, random), request, random)

    def _dress_foreign(self, way: str, latest: str, language: str, random: Random) -> tuple[str, str]:
        name = {LEAD_IN: "lead_ins", CLOSING: "closings"}.get(way)
        if name is None or self.language_of(language, name) == ENGLISH:
            return PLAIN, latest
        said = self.say(name, random, language=language)
        return way, ("" if language in UNSPACED else " ").join((said, latest) if way == LEAD_IN else (latest, said))

    def _with_noise(self, request: str, texts: Texts, random: Random) -> str:
        name = random.choice(("reminders", "reminders", "summaries", "tool_outputs"))
        block = self.say(name, random, texts=texts)
        if name == "reminders" and random.random() < 0.4:  # noqa: PLR2004 - a share
            return f"{request}\n\n{block}"
        if random.random() < 0.2:  # noqa: PLR2004 - a share
            block = f"{block}\n{self.say('reminders', random, texts=texts)}"
        return f"{block}\n\n{request}"

    def _with_paste(self, request: str, texts: Texts, random: Random) -> str:
        count = random.randint(3, 9) if random.random() < LONG_PASTE_SHARE else 1
        blocks = [self._pasted(texts, random) for _ in range(count)]
        ask = f"{self.say('asks', random)} {request}".strip()
        place = random.choice(("first", "last", "last", "middle")) if count == 1 else random.choice(("first", "last"))
        if place == "first":
            return "\n\n".join((request, *blocks))
        if place == "last":
            return "\n\n".join((*blocks, ask))
        return "\n\n".join((*blocks, ask, self._pasted(texts, random)))

    def _pasted(self, texts: Texts, random: Random) -> str:
        if random.random() < PAGE_SHARE:
            return str(random.choice(self._lists[ENGLISH, "pages"]))
        return self.say("pasted", random, texts=texts)


def expand(phrase: str, random: Random) -> str:
    """Choose one of the parts of each ``[a|b]``, inner ones first."""
    while _CHOICE.search(phrase):
        phrase = _CHOICE.sub(lambda match: random.choice(match[1].split("|")), phrase)
    return phrase


def lowered(text: str, random: Random) -> str:
    """Write in small letters now and then, as people do in chats."""
    return text.lower() if random.random() < LOWERED_SHARE else text


def exchange(request: str, answer: str) -> tuple[Message, Message]:
    """Write what a user said and what the assistant answered."""
    return Message(USER, request), Message(ASSISTANT, answer)


def noisy(messages: tuple[Message, ...], random: Random) -> tuple[Message, ...]:
    """Put typing mistakes into the latest message now and then, or write it in another letter case."""
    latest = messages[-1].content
    draw = random.random()
    if draw < TYPING_MISTAKE_SHARE:
        said = [
            mistyped(word, random)
            if word.isalpha() and len(word) >= MIN_MISTYPED_LETTERS and random.random() < MISTAKE_PER_WORD
            else word
            for word in latest.split(" ")
        ]
        latest = " ".join(said)
    elif draw < TYPING_MISTAKE_SHARE + CASING_SHARE:
        change: Callable[[str], str] = CASINGS[random.choice(("lower", "unpunctuated", "no_apostrophes"))]
        latest = change(latest) if change(latest).strip() else latest
    return messages if latest == messages[-1].content else (*messages[:-1], replace(messages[-1], content=latest))


def _joined(before: str, after: str, random: Random) -> str:
    return f"{before}\n\n{after}" if random.random() < LINE_BREAK_SHARE else f"{before} {after}"


def _part(phrases: Sequence[Any], *, is_measured: bool) -> Sequence[Any]:  # Any: a phrase, or a route as YAML gives it
    """Give the phrases to train or to measure with; a list too short to hold one out serves both."""
    if len(phrases) < HELD_OUT_EVERY:
        return phrases
    return [each for index, each in enumerate(phrases) if (index % HELD_OUT_EVERY == HELD_OUT_EVERY - 1) == is_measured]


def _read(path: Path) -> dict[str, Any]:  # Any: YAML
    document: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    return document


def _small_talk(entry: dict[str, Any]) -> TalkRoute:  # Any: YAML
    covers, unsure = frozenset(entry["covers"]), frozenset(entry.get("unsure", ()))
    return TalkRoute(entry["name"], entry["description"], covers, unsure, takes_rest=False)


def _catch_all(entry: dict[str, Any]) -> TalkRoute:  # Any: YAML
    kinds = frozenset(SOCIAL_KINDS)
    covers, unsure = (kinds, frozenset[str]()) if entry["social"] == COVERED else (frozenset[str](), kinds)
    return TalkRoute(entry["name"], entry["description"], covers, unsure, takes_rest=True)
