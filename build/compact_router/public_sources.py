"""Reads the public training sources, CLINC150, BANKING77, HWU64 and SGD, as taxonomies; their README has the format."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from compact_model.inputs import USER, Message
from data.augment.phrases import QUESTION_MARKS, load_phrases
from data.texts import words

from compact_router.benchmark import read_conversations, read_policy_sets
from compact_router.taxonomy import OTHER, Action, Domain, Example, Taxonomy

FILES = ("banking77", "clinc_multi_fine", "clinc_single", "hwu64", "sgd", "sgd_route_wordings")
"""Files read, ``<name>.jsonl.gz``."""

FINE_SETS = {
    "banking77": "banking77_fine_half_A",
    "clinc": "clinc_fine_half_A",
    "hwu64": "hwu64_fine_half_A",
    "sgd": "sgd_fine_half_A",
}
COARSE_SETS = {"clinc": "clinc_coarse_half_A", "hwu64": "hwu64_coarse_half_A", "sgd": "sgd_coarse_half_A"}
SOURCE_OF_TAXONOMY = {
    "banking77": ("banking77",),
    "clinc": ("clinc_single", "clinc_multi_fine"),
    "hwu64": ("hwu64",),
    "sgd": ("sgd",),
}

_SOCIAL = frozenset(
    ("thanks", "thank", "bye", "goodbye", "hello", "hi", "hey", "cheers", "great", "perfect", "awesome", "wonderful")
)
_MAX_SOCIAL_WORDS = 12
ENGLISH = "en"

Json = Mapping[str, Any]  # Any: JSON


def read_public_sources(folder: Path, wordings: Path) -> tuple[Taxonomy, ...]:
    """Read each data set as a taxonomy.

    Args:
        folder: The training sources.
        wordings: Folder of our own further wordings, one YAML file for each taxonomy; a missing file is no error.
    """
    policy_sets = read_policy_sets(folder)
    crowd = _crowd_wordings(folder / "sgd_route_wordings.jsonl.gz")
    taxonomies = []
    for name, files in SOURCE_OF_TAXONOMY.items():
        ours = _our_wordings(wordings / f"{name}.yaml")
        coarse = {route["domain"]: route["description"] for route in policy_sets.get(COARSE_SETS.get(name, ""), ())}
        domains: dict[str, list[Action]] = defaultdict(list)
        key_of = {}
        for route in policy_sets[FINE_SETS[name]]:
            descriptions = (route["description"], *ours["routes"].get(route["name"], ()), *crowd.get(route["name"], ()))
            domains[route["domain"]].append(Action(route["domain"], route["action"], tuple(descriptions)))
            key_of[route["name"]] = (route["domain"], route["action"])
        examples = [
            example
            for file in files
            for conversation in read_conversations(folder / f"{file}.jsonl.gz")
            for example in _examples(conversation, key_of)
        ]
        wholes = {domain: (coarse.get(domain), *ours["domains"].get(domain, ())) for domain in domains}
        written = (Domain(domain, tuple(each), tuple(filter(None, wholes[domain]))) for domain, each in domains.items())
        taxonomies.append(Taxonomy(name, source=name, domains=tuple(written), examples=tuple(examples)))
    return tuple(taxonomies)


def _examples(conversation: Json, key_of: Mapping[str, tuple[str, str]]) -> Iterator[Example]:
    """Give each labelled turn, with its domain alone where only that is labelled."""
    messages = tuple(Message(each["role"], each["content"]) for each in conversation["messages"])
    fine = {label["turn"]: label["route"] for label in conversation["labels"]}
    coarse = {label["turn"]: label["route"] for label in conversation.get("coarse_labels", ())}
    for turn in sorted(fine.keys() | coarse.keys()):
        shown = messages[: turn + 1]
        if turn not in fine and coarse[turn] != OTHER:
            yield Example(conversation["id"], shown, coarse[turn], is_known_exactly=False)
        elif turn in fine and fine[turn] == OTHER:
            yield Example(conversation["id"], shown, OTHER, is_social=is_social(shown))
        elif turn in fine:
            domain, action = key_of[fine[turn]]
            yield Example(conversation["id"], shown, domain, action)


def is_social(messages: Iterable[Message], language: str = ENGLISH) -> bool:
    """Judge whether a turn that fits no route of its set would fit none in any set.

    That is a short message with a word of thanks or greeting and no question mark.
    """
    text = [message.content for message in messages if message.role == USER][-1]
    said = words(text)
    phrases = load_phrases().get(language)
    social = phrases.social if phrases is not None and language != ENGLISH else _SOCIAL
    return QUESTION_MARKS.isdisjoint(text) and len(said) <= _MAX_SOCIAL_WORDS and not social.isdisjoint(said)


def _crowd_wordings(path: Path) -> dict[str, list[str]]:
    """Read what crowd workers called the SGD intents."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in read_conversations(path):
        found[line["route"]].append(line["intent_description"])
    return {route: list(dict.fromkeys(texts)) for route, texts in found.items()}


def _our_wordings(path: Path) -> dict[str, dict[str, list[str]]]:
    """Read further wordings that this project wrote: ``routes`` and ``domains``, each name to a list of texts."""
    document = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {part: document.get(part) or {} for part in ("routes", "domains")}
