"""A call from its tensors' bytes to scores and counts."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compact_model.candidates import (
    CandidateEncoder,
    EncodedCandidates,
    RouteVectors,
    Vector,
    candidate_name,
    candidate_text,
)
from compact_model.conversation import LATEST_TYPE, TextTokens, Tokens, Window, excerpt, read_window, shorten
from compact_model.encoder import Encoder, Encoders
from compact_model.inputs import USER, Candidate, parse_conversation
from compact_model.parameters import WindowLimits, read_parameters
from compact_model.reader import Reader
from compact_model.spelling import Spelling

RUN_TOKENS = 256
"""Most tokens of a run that calls share: what each token sees of the other calls is computed, and thrown away."""


SECOND_READING_WEIGHT = 0.2
"""Of a route's vector. Chosen by the likelihood of the services held out and of the own corpus' dev split."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """The answer to one call.

    Attributes:
        logits: float32 [N + 1], natural logarithms up to a constant; the last is no match.
        prompt_token_count: Conversation tokens read, special tokens not counted.
        dropped_message_count: Messages before the latest user message for which no room was left.
        dropped_token_count: Conversation tokens that did not fit, in part an estimate, see ``Window``.
    """

    logits: NDArray[np.float32]
    prompt_token_count: int
    dropped_message_count: int
    dropped_token_count: int


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A call, read.

    Attributes:
        encoder: Of its language.
        window: What is read of the conversation.
        tokens: The same, as the encoder reads it.
        candidates: The candidates.
    """

    encoder: Encoder
    window: Window
    tokens: TextTokens
    candidates: EncodedCandidates


class CompactRouter:
    """Scores candidates for a conversation, for any number of threads."""

    def __init__(
        self,
        encoders: Encoders,
        reader: Reader,
        spelling: Spelling,
        limits: WindowLimits,
        *,
        candidate_cache_capacity: int,
    ) -> None:
        """Join the parts.

        Args:
            encoders: Tokens to vectors.
            reader: Vectors to scores.
            spelling: Of messages in English.
            limits: How much is read.
            candidate_cache_capacity: Candidates whose vectors are kept, >= 1.
        """
        self._encoders = encoders
        self._reader = reader
        self._spelling = spelling
        self._limits = limits
        self._candidates = CandidateEncoder(self._encode_route, self._encode_example, candidate_cache_capacity)

    @classmethod
    def load(cls, directory: Path, *, intra_op_thread_count: int, candidate_cache_capacity: int) -> "CompactRouter":
        """Load the model from its version folder.

        Args:
            directory: Holds encoder.onnx, reader.onnx, tokenizer.json, words.txt, router.json, and in the folder
                other_languages an encoder.onnx and a tokenizer.json more.
            intra_op_thread_count: Threads of ONNX Runtime, >= 1.
            candidate_cache_capacity: Candidates whose vectors are kept, >= 1.

        Returns:
            A router.
        """
        return cls(
            Encoders(directory, intra_op_thread_count=intra_op_thread_count),
            Reader(directory, intra_op_thread_count=intra_op_thread_count),
            Spelling(directory / "words.txt"),
            read_parameters(directory / "router.json"),
            candidate_cache_capacity=candidate_cache_capacity,
        )

    def score(self, conversation: bytes, candidates: Sequence[bytes]) -> Scores:
        """Answer one call.

        Args:
            conversation: UTF-8 JSON of the messages, see ``parse_conversation``.
            candidates: UTF-8 JSON of each of N >= 1 candidates, see ``parse_candidate``.

        Returns:
            Logits and counts; the same bits each time.

        Raises:
            InvalidInputError: When either cannot be read.
        """
        while (question := self.prepare(math.inf, conversation, candidates)) is None:
            pass
        (scores,) = self.answer([question])
        return scores

    def prepare(self, budget_s: float, conversation: bytes, candidates: Sequence[bytes]) -> Question | None:
        """Read a call, unless too many of its candidates are new.

        Args:
            budget_s: Seconds after which no further new candidate is encoded; at least one is.
            conversation: See ``score``.
            candidates: See ``score``.

        Returns:
            What is asked; None when some candidates are left to encode, with which a further call goes on.

        Raises:
            InvalidInputError: When either cannot be read.
        """
        encoded = self._candidates.encode(candidates, budget_s)
        if encoded is None:
            return None
        messages = parse_conversation(conversation)
        encoder = self._encoders.of(each.content for each in reversed(messages) if each.role == USER)
        tokenizer = encoder.tokenizer

        def is_known(word: str) -> bool:
            return tokenizer.is_word(word) or word in encoded.words

        def tokenize_english(text: str) -> Tokens:
            return tokenizer.tokenize(self._spelling.correct(text, is_known))

        is_english = encoder is self._encoders.english
        window = read_window(messages, tokenize_english if is_english else tokenizer.tokenize, self._limits)
        compared = encoded.for_english if is_english else encoded.for_others
        return Question(encoder, window, window.sequence(tokenizer.special), compared)

    def answer(self, questions: Sequence[Question]) -> list[Scores]:
        """Answer calls together: two in one run take less than twice the time of one.

        Args:
            questions: Any number.

        Returns:
            Logits and counts of each. One that is asked alone has the same bits each time; beside others its last ones
            may differ.
        """
        found: dict[Question, Scores] = {}
        for run in _runs(questions):
            encoded = run[0].encoder.encode([each.tokens for each in run])
            for candidates in {each.candidates for each in run}:
                places = [place for place, each in enumerate(run) if each.candidates is candidates]
                for place, logits in zip(places, self._reader.score(encoded.of(places), candidates), strict=True):
                    found[run[place]] = _scores(run[place].window, logits)
        return [found[each] for each in questions]

    def _encode_route(self, route: Candidate) -> RouteVectors:
        """Read a route in the language of its description, and a second time in another way.

        A second reading of what is in English is for conversations in English that of the description, or where there
        is none of the name as if it were one; for conversations in other languages it is that of their encoder, so that
        what that one takes wrong is wrong in both. Of what is in another language it is that of a name in English.
        """
        english, others = self._encoders.english, self._encoders.others
        text, name = candidate_text(route), candidate_name(route)
        if self._encoders.of((route.description, text)) is english:
            described = route.description if route.description.strip() else f"requests about {name}"
            whole, second = self._encode(english, text, described)
            (second_of_others,) = self._encode(others, text)
            return RouteVectors(_with_second_reading(whole, second), _with_second_reading(whole, second_of_others))
        (whole,) = self._encode(others, text)
        (second,) = self._encode(english, name) if self._encoders.of((name,)) is english else (whole,)
        vector = _with_second_reading(whole, second)
        return RouteVectors(vector, vector)

    def _encode_example(self, text: str) -> Vector:
        (vector,) = self._encode(self._encoders.of((text,)), text)
        return vector

    def _encode(self, encoder: Encoder, *texts: str) -> Sequence[Vector]:
        limit = self._limits.candidate_token_limit
        special = encoder.tokenizer.special
        read = [shorten(encoder.tokenizer.tokenize(excerpt(text, limit)[0]), limit) for text in texts]
        sequences = [(*special.start, *tokens, special.end) for tokens in read]
        return tuple(encoder.encode([(ids, (LATEST_TYPE,) * len(ids)) for ids in sequences]).vectors)


def _scores(window: Window, logits: NDArray[np.float32]) -> Scores:
    return Scores(logits, window.token_count, window.dropped_message_count, window.dropped_token_count)


def _with_second_reading(first: Vector, second: Vector) -> Vector:
    mean = (1 - SECOND_READING_WEIGHT) * first + SECOND_READING_WEIGHT * second
    vector: Vector = (mean / np.linalg.norm(mean)).astype(np.float32)
    return vector


def _runs(questions: Sequence[Question]) -> Iterator[list[Question]]:
    """Divide calls into runs, those of one encoder in the order given."""
    for encoder in {each.encoder for each in questions}:
        run: list[Question] = []
        token_count = 0
        for question in (each for each in questions if each.encoder is encoder):
            token_count += len(question.tokens[0])
            if run and token_count > RUN_TOKENS:
                yield run
                run, token_count = [], len(question.tokens[0])
            run.append(question)
        yield run
