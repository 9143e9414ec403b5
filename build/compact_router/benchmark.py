"""Labelled conversations as calls of the model: the benchmark's and the training sources' file format.

A folder holds ``policies/<policy set>.json`` and conversations in ``*.jsonl`` or ``*.jsonl.gz``; its README describes
the fields.
"""

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OTHER = "other"
"""Label of a turn that no route fits."""

Route = Mapping[str, str]
Label = Mapping[str, Any]  # Any: an index and a string, as JSON gives them


@dataclass(frozen=True, slots=True)
class LabelledTurn:
    """One call of the model and its right answer.

    Attributes:
        setting: The part of the benchmark it belongs to.
        conversation_id: Turns of one conversation share it.
        conversation: The tensor ``conversation``: the messages up to the labelled one.
        candidates: The tensor ``candidates``.
        label: Index of the right candidate; ``len(candidates)`` for no match.
    """

    setting: str
    conversation_id: str
    conversation: bytes
    candidates: tuple[bytes, ...]
    label: int

    @property
    def is_no_match(self) -> bool:
        """Whether no candidate is right."""
        return self.label == len(self.candidates)


def read_policy_sets(folder: Path) -> dict[str, tuple[Route, ...]]:
    """Read the routes of each policy set in a folder: ``name``, ``domain``, ``action`` and ``description`` of each."""
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("policies/*.json"))]
    return {document["policy_set"]: tuple(document["routes"]) for document in documents}


def read_conversations(path: Path) -> Iterator[Mapping[str, Any]]:
    """Read JSON Lines, compressed where the name ends in ``.gz``, one conversation to a line."""
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    for line in filter(None, text.decode("utf-8").split("\n")):
        yield json.loads(line)


def labelled_turns(
    conversation: Mapping[str, Any], routes: Sequence[Route], labels: Iterable[Label], setting: str
) -> list[LabelledTurn]:
    """Make one call per label, in label order.

    Args:
        conversation: As read; only the messages up to the labelled one are shown.
        routes: The candidates. A label that names none of them becomes no match.
        labels: ``turn``, the index of a user message, and ``route``.
        setting: Where the turns are counted.
    """
    positions = {route["name"]: index for index, route in enumerate(routes)}
    candidates = tuple(candidate_bytes(route) for route in routes)
    return [
        LabelledTurn(
            setting=setting,
            conversation_id=conversation["id"],
            conversation=json.dumps(conversation["messages"][: label["turn"] + 1], ensure_ascii=False).encode(),
            candidates=candidates,
            label=positions.get(label["route"], len(routes)),
        )
        for label in labels
    ]


def candidate_bytes(route: Route) -> bytes:
    """Write a route as an element of the tensor ``candidates``."""
    fields = {"id": route["name"], **{name: route[name] for name in ("domain", "action", "description")}}
    return json.dumps(fields, ensure_ascii=False).encode()


def benchmark_turns(folder: Path) -> list[LabelledTurn]:
    """Read every labelled turn of a benchmark folder, settings in alphabetical order."""
    policy_sets = read_policy_sets(folder)
    return [
        turn
        for path in sorted(folder.glob("*.jsonl"))
        for conversation in read_conversations(path)
        for turn in labelled_turns(
            conversation, policy_sets[conversation["policy_set"]], conversation["labels"], conversation["setting"]
        )
    ]
