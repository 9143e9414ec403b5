"""What a route's vectors are made of: two readings, by the encoder and the words that docs/adr/0027 names."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from compact_model.candidates import EncodedCandidates
from compact_model.conversation import SpecialTokens, TextTokens, Tokens
from compact_model.encoder import Encoded, Encoders
from compact_model.inputs import ASSISTANT, USER
from compact_model.parameters import WindowLimits
from compact_model.reader import Reader
from compact_model.router import SECOND_READING_WEIGHT, CompactRouter
from compact_model.spelling import Spelling
from numpy.typing import NDArray

LIMITS = WindowLimits(200, 200, 200, 200, 8, 200)
START, END = 0, 1

Readings = dict[tuple[str, str], float]
"""How much of a vector is what an encoder makes of a text."""


class Letters:
    """A tokenizer whose tokens are letters."""

    special = SpecialTokens(start=(START,), end=END, roles={USER: (), ASSISTANT: ()})

    def tokenize(self, text: str) -> Tokens:
        """Split a text."""
        return tuple(map(ord, text))

    def is_word(self, _word: str) -> bool:
        """Know every word, so that none is corrected."""
        return True


class FakeEncoder:
    """Gives each text a direction of its own."""

    tokenizer = Letters()

    def __init__(self, name: str, directions: list[tuple[str, str]]) -> None:
        """Share the directions with other encoders."""
        self._name, self._directions = name, directions

    def encode(self, texts: Sequence[TextTokens]) -> Encoded:
        """Note the texts and encode them."""
        vectors = np.zeros((len(texts), 16), dtype=np.float32)
        for row, (ids, _) in enumerate(texts):
            read = (self._name, "".join(chr(each) for each in ids if each not in (START, END)))
            if read not in self._directions:
                self._directions.append(read)
            vectors[row, self._directions.index(read)] = 1
        return Encoded(vectors, vectors, np.ones((len(texts), len(texts)), dtype=np.float32))


class FakeEncoders:
    """English is what is written in ASCII."""

    def __init__(self) -> None:
        """Make both."""
        self.directions: list[tuple[str, str]] = []
        self.english, self.others = (FakeEncoder(name, self.directions) for name in ("english", "others"))

    def of(self, texts: Iterable[str]) -> FakeEncoder:
        """Choose by the first text that is not blank."""
        return self.english if next(text for text in texts if text.strip()).isascii() else self.others


class FakeReader:
    """Keeps the candidates that it was shown."""

    def score(self, conversations: Encoded, candidates: EncodedCandidates) -> NDArray[np.float32]:
        """Keep them; no candidate is better than another."""
        self.vectors = candidates.vectors
        return np.zeros((len(conversations.vectors), len(candidates.vectors) + 1), dtype=np.float32)


def compared(tmp_path: Path, message: str, route: dict[str, object]) -> tuple[list[tuple[str, str]], Readings]:
    """Compare a conversation with a route; gives what the encoders read, and what the route's vector is made of."""
    (tmp_path / "words.txt").write_text("hello 10\n", encoding="utf-8")
    encoders, reader = FakeEncoders(), FakeReader()
    router = CompactRouter(
        cast("Encoders", encoders),
        cast("Reader", reader),
        Spelling(tmp_path / "words.txt"),
        LIMITS,
        candidate_cache_capacity=4,
    )
    candidate = json.dumps({"domain": "", "action": "", **route}).encode()
    router.score(json.dumps([{"role": USER, "content": message}]).encode(), [candidate])
    parts = reader.vectors[0] / reader.vectors[0].sum()
    made_of = {read: round(float(part), 4) for read, part in zip(encoders.directions, parts, strict=False) if part}
    return encoders.directions, made_of


@pytest.mark.parametrize(
    ("message", "name", "description", "first", "second"),
    [
        ("hello", "hire", "To hire bikes", ("english", "hire: To hire bikes"), ("english", "To hire bikes")),
        ("größe", "hire", "To hire bikes", ("english", "hire: To hire bikes"), ("others", "hire: To hire bikes")),
        ("hello", "bike_hire", " ", ("english", "bike hire"), ("english", "requests about bike hire")),
        ("hello", "hire", "Fahrräder mieten", ("others", "hire: Fahrräder mieten"), ("english", "hire")),
        ("größe", "hire", "Fahrräder mieten", ("others", "hire: Fahrräder mieten"), ("english", "hire")),
    ],
)
def test_a_fifth_of_a_routes_vector_is_a_second_reading(
    tmp_path: Path, message: str, name: str, description: str, first: tuple[str, str], second: tuple[str, str]
) -> None:
    """Which one depends on the language of the conversation, and on that of the route."""
    wanted = {first: 1 - SECOND_READING_WEIGHT, second: SECOND_READING_WEIGHT}

    _, made_of = compared(tmp_path, message, {"id": name, "description": description})

    assert pytest.approx(wanted, abs=1e-3) == made_of


def test_a_name_in_another_language_is_not_read_as_english(tmp_path: Path) -> None:
    """The encoder of English knows none of its words."""
    _, made_of = compared(tmp_path, "hello", {"id": "größe", "description": "Über Größen"})

    assert {("others", "größe: Über Größen"): 1.0} == made_of


def test_an_example_is_read_in_its_own_language(tmp_path: Path) -> None:
    """Whatever the route beside it is in, and once."""
    read, _ = compared(tmp_path, "hello", {"id": "hire", "description": "Fahrräder mieten", "examples": ["bike?"]})
    read_too, _ = compared(tmp_path, "hello", {"id": "hire", "description": "To hire bikes", "examples": ["Räder?"]})

    assert [("english", "bike?")] == [each for each in read if each[1] == "bike?"]
    assert [("others", "Räder?")] == [each for each in read_too if each[1] == "Räder?"]
