"""Figures of decisions by kind of conversation: a benchmark's settings, and pairs of a request bare and changed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
from compact_model.inputs import Candidate, Message
from data.kinds.__main__ import SOURCES, TARGET

from compact_router.benchmark import read_conversations, read_policy_sets
from compact_router.evaluate import Decision, calibration_error_by_chance, expected_calibration_error
from compact_router.services import read_translations
from compact_router.slots import Turn
from compact_router.views import View

SURE = 0.9
"""Confidence from which an answer is called sure."""

MOST_TURNS_PER_VIEW = 12

TRANSLATED_APART = 5
"""One of so many conversations whose messages are translated is used: most are of the same messages."""

ALL = "all"


def benchmark_views(folder: Path) -> tuple[list[View], dict[str, str]]:
    """Read a folder of labelled conversations.

    Returns:
        Views of one policy set each, their kinds the settings; and of each conversation that is another one changed,
        the other one's id.
    """
    policy_sets = read_policy_sets(folder)
    candidates = {name: tuple(_candidate(route) for route in routes) for name, routes in policy_sets.items()}
    place = {name: {each.id: index for index, each in enumerate(some)} for name, some in candidates.items()}
    conversations = [each for path in sorted(folder.glob("*.jsonl")) for each in read_conversations(path)]
    changed = {each["id"]: each["sources"][0] for each in conversations if len(each.get("sources") or ()) == 1}
    views = []
    for (setting, name), some in groupby(conversations, key=lambda each: (each["setting"], each["policy_set"])):
        turns = []
        for each in some:
            messages = tuple(Message(said["role"], said["content"]) for said in each["messages"])
            for label in each["labels"]:
                right = place[name].get(label["route"], len(candidates[name]))
                turns.append(Turn(each["id"], messages[: label["turn"] + 1], right, setting, setting))
        starts = range(0, len(turns), MOST_TURNS_PER_VIEW)
        cut = (tuple(turns[start : start + MOST_TURNS_PER_VIEW]) for start in starts)
        views += [View(setting, candidates[name], each) for each in cut]
    return views, changed


def in_other_languages() -> Iterator[View]:
    """Go through turns of `benchmarks/data/kinds` of which every message is translated, some of them, by language.

    The temperature is fitted on them as well, as it is on the originals.
    """
    views, _ = benchmark_views(TARGET)
    for known in read_translations(SOURCES).values():
        turns = [(view, turn) for view in views for turn in view.turns if _is_known(turn, known)]
        for view, turn in turns[::TRANSLATED_APART]:
            said = tuple(replace(message, content=known[message.content]) for message in turn.messages)
            yield replace(view, turns=(replace(turn, messages=said),))


def _is_known(turn: Turn, translations: Mapping[str, str]) -> bool:
    return all(message.content in translations for message in turn.messages)


def figures_by_setting(decisions: Sequence[Decision], changed: Mapping[str, str]) -> Iterator[dict[str, object]]:
    """Compute the figures of each setting, then of all together.

    Args:
        decisions: At least one.
        changed: From conversations to those that they were changed from; a flip is right there and wrong here.
    """
    right = {decision.turn.conversation_id: decision.is_right for decision in decisions}
    for setting in (*sorted({decision.turn.setting for decision in decisions}), ALL):
        some = [decision for decision in decisions if setting in (ALL, decision.turn.setting)]
        confidences = np.array([decision.confidence for decision in some])
        is_right = np.array([decision.is_right for decision in some])
        sure = confidences >= SURE
        pairs = [decision for decision in some if right.get(changed.get(decision.turn.conversation_id, ""), False)]
        yield {
            "setting": setting,
            "turns": len(some),
            "accuracy": round(float(is_right.mean()), 4),
            "calibration_error": round(expected_calibration_error(confidences, is_right), 4),
            "by_chance": round(calibration_error_by_chance(confidences), 4),
            "sure": int(sure.sum()),
            "sure_and_wrong": int((sure & ~is_right).sum()),
            "pairs_right_bare": len(pairs),
            "flips": sum(not decision.is_right for decision in pairs),
        }


def _candidate(route: Mapping[str, str]) -> Candidate:
    return Candidate(route["name"], route["domain"], route["action"], route["description"])
