"""Views as tensors: one pool of candidates shared by the conversations of a batch, both encoded in length order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from compact_model.candidates import candidate_text
from compact_model.conversation import LATEST_TYPE, SpecialTokens, TextTokens, Tokens, excerpt, read_window, shorten
from compact_model.inputs import Candidate, Message
from compact_model.parameters import WindowLimits
from torch import Tensor
from torch.nn import functional

from compact_router.network import Encoder, Router, Routes, Said
from compact_router.rivals import Rivals
from compact_router.slots import Turn
from compact_router.views import View

CHUNK_TOKENS = 768
"""Padded tokens encoded at once: sequences of like length share a chunk, so that little is padding."""


@dataclass(frozen=True, slots=True)
class TextReader:
    """Reads texts as the served model does.

    Attributes:
        candidate: A candidate's text to token ids without special tokens.
        message: The same of a message, whose spelling is put right first.
        special: The tokens that mark a sequence's parts.
    """

    candidate: Callable[[str], Tokens]
    message: Callable[[str], Tokens]
    special: SpecialTokens


@dataclass(frozen=True, slots=True)
class ExampleIndex:
    """Examples of one kind.

    Attributes:
        index: int64 [B, C, E], each candidate's examples in the batch's ``candidates``; 0 for padding, E >= 1.
        mask: bool [B, C, E], false for padding.
    """

    index: Tensor
    mask: Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Views ready for the network.

    Attributes:
        conversations: Ids and types of each conversation.
        candidates: The same of each distinct candidate and each distinct example of one.
        pool_index: int64 [B, C], each conversation's candidates in ``candidates``; 0 for padding.
        covers_domain: int64 [B, C].
        candidate_mask: bool [B, C].
        examples: Of the candidates.
        not_examples: Of the candidates.
        labels: int64 [B]; C for no match, C being the padded count.
        turns: The turns of the rows.
        kinds: The kind of view of each row.
    """

    conversations: tuple[TextTokens, ...]
    candidates: tuple[TextTokens, ...]
    pool_index: Tensor
    covers_domain: Tensor
    candidate_mask: Tensor
    examples: ExampleIndex
    not_examples: ExampleIndex
    labels: Tensor
    turns: tuple[Turn, ...]
    kinds: tuple[str, ...]


class BatchMaker:
    """Makes batches and remembers the tokens of texts."""

    def __init__(self, reader: TextReader, limits: WindowLimits) -> None:
        """Start with no text read; each text is read once."""
        self._special, self._limits = reader.special, limits
        self._read_candidate, self._read_message = cache(reader.candidate), cache(reader.message)

    def candidate_tokens(self, candidate: Candidate) -> TextTokens:
        """Give the sequence of a candidate with its special tokens."""
        return self.example_tokens(candidate_text(candidate))

    def example_tokens(self, text: str) -> TextTokens:
        """Give the sequence of an example, or of whatever else stands on its own."""
        limit = self._limits.candidate_token_limit
        tokens = shorten(self._read_candidate(excerpt(text, limit)[0]), limit)
        ids = (*self._special.start, *tokens, self._special.end)
        return ids, (LATEST_TYPE,) * len(ids)

    def conversation_tokens(self, messages: Sequence[Message]) -> TextTokens:
        """Give the sequence of what is read of a conversation."""
        return read_window(messages, self._read_message, self._limits).sequence(self._special)

    def make(self, views: Sequence[View]) -> Batch:
        """Put views together, one row for each turn."""
        pool: dict[TextTokens, int] = {}
        rows = [(turn, view) for view in views for turn in view.turns]
        width = max(len(view.candidates) for view in views)
        index = torch.zeros(len(rows), width, dtype=torch.long)
        covers_domain = torch.zeros_like(index)
        mask = torch.zeros(len(rows), width, dtype=torch.bool)
        for row, (_, view) in enumerate(rows):
            for place, candidate in enumerate(view.candidates):
                index[row, place] = pool.setdefault(self.candidate_tokens(candidate), len(pool))
                covers_domain[row, place] = int(not candidate.action)
                mask[row, place] = True
        labels = [width if turn.label == len(view.candidates) else turn.label for turn, view in rows]
        return Batch(
            conversations=tuple(self.conversation_tokens(turn.messages) for turn, _ in rows),
            examples=self._index(rows, lambda candidate: candidate.examples, width, pool),
            not_examples=self._index(rows, lambda candidate: candidate.not_examples, width, pool),
            candidates=tuple(pool),
            pool_index=index,
            covers_domain=covers_domain,
            candidate_mask=mask,
            labels=torch.tensor(labels),
            turns=tuple(turn for turn, _ in rows),
            kinds=tuple(view.kind for _, view in rows),
        )

    def _index(
        self,
        rows: Sequence[tuple[Turn, View]],
        texts_of: Callable[[Candidate], tuple[str, ...]],
        width: int,
        pool: dict[TextTokens, int],
    ) -> ExampleIndex:
        """Find the texts of the candidates of rows in the pool, or add them to it."""
        most = max(1, *(len(texts_of(each)) for _, view in rows for each in view.candidates))
        index = torch.zeros(len(rows), width, most, dtype=torch.long)
        mask = torch.zeros_like(index, dtype=torch.bool)
        for row, (_, view) in enumerate(rows):
            for place, candidate in enumerate(view.candidates):
                for number, text in enumerate(texts_of(candidate)):
                    index[row, place, number] = pool.setdefault(self.example_tokens(text), len(pool))
                    mask[row, place, number] = True
        return ExampleIndex(index, mask)


class LowerStates:
    """Remembers what the frozen layers make of a sequence: most texts come back many times in training."""

    def __init__(self, encoder: Encoder, capacity: int) -> None:
        """Start empty; ``capacity`` sequences are kept, of which one of 40 tokens takes 30 KiB."""
        self._encoder, self._capacity = encoder, capacity
        self._known: dict[TextTokens, Tensor] = {}

    def get(self, sequences: Sequence[TextTokens]) -> list[Tensor]:
        """Run the frozen layers, or remember: bfloat16 [tokens, 384] of each sequence."""
        found = {each: self._known[each] for each in sequences if each in self._known}
        missing = sorted({each for each in sequences if each not in found}, key=lambda each: len(each[0]))
        for chunk in _chunks(missing):
            ids, types, mask = padded(chunk)
            with torch.no_grad():
                states = self._encoder.lower(ids, types, mask).to(torch.bfloat16)
            for row, each in enumerate(chunk):
                found[each] = states[row, : len(each[0])].clone()
                if len(self._known) < self._capacity:
                    self._known[each] = found[each]
        return [found[each] for each in sequences]


def encode(encoder: Encoder, lower: LowerStates, sequences: Sequence[TextTokens]) -> tuple[Tensor, Tensor, Tensor]:
    """Encode sequences, each its ids and types, of any lengths.

    Returns:
        Vectors [N, 384], states [N, longest, 384] and their mask bool [N, longest].
    """
    order = sorted(range(len(sequences)), key=lambda each: len(sequences[each][0]))
    longest = len(sequences[order[-1]][0])
    vectors, states, masks = [], [], []
    for chunk in _chunks([sequences[each] for each in order]):
        _, types, mask = padded(chunk)
        width = mask.shape[1]
        below = torch.stack([functional.pad(each, (0, 0, 0, width - len(each))) for each in lower.get(chunk)])
        vector, state = encoder.upper(below.float(), types, mask)
        vectors.append(vector.float())
        states.append(functional.pad(state, (0, 0, 0, longest - width)))
        masks.append(functional.pad(mask.bool(), (0, longest - width)))
    back = torch.argsort(torch.tensor(order))
    return torch.cat(vectors)[back], torch.cat(states)[back], torch.cat(masks)[back]


def _chunks(ordered: Sequence[TextTokens]) -> Iterator[list[TextTokens]]:
    """Cut sequences, shortest first, so that no chunk has more padded tokens than `CHUNK_TOKENS`."""
    chunk: list[TextTokens] = []
    for each in ordered:
        if chunk and (len(chunk) + 1) * len(each[0]) > CHUNK_TOKENS:
            yield chunk
            chunk = []
        chunk.append(each)
    if chunk:
        yield chunk


def padded(chunk: Sequence[TextTokens]) -> tuple[Tensor, Tensor, Tensor]:
    """Write ids, types and mask, int64 [sequences, longest]."""
    width = max(len(ids) for ids, _ in chunk)
    ids = torch.zeros(len(chunk), width, dtype=torch.long)
    types, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, (tokens, kinds) in enumerate(chunk):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        types[row, : len(tokens)] = torch.tensor(kinds)
        mask[row, : len(tokens)] = 1
    return ids, types, mask


@dataclass(frozen=True, slots=True)
class Scored:
    """What the network says of a batch.

    Attributes:
        logits: float32 [B, C + 1]; no match is the last.
        cosines: float32 [B, C].
        rivals: The same as ``logits`` from other heads, by name.
    """

    logits: Tensor
    cosines: Tensor
    rivals: dict[str, Tensor]


def score(router: Router, lower: LowerStates, batch: Batch, rivals: Rivals | None = None) -> Scored:
    """Run the network, and other heads on the same states."""
    vectors, states, state_mask = encode(router.encoder, lower, batch.conversations)
    pool, pool_states, pool_mask = encode(router.encoder, lower, batch.candidates)
    logits, cosines = judge(router, batch, Said(vectors, states, state_mask), pool)
    others = (
        rivals(vectors, states, state_mask, pool, pool_states, pool_mask, batch.pool_index, batch.candidate_mask)
        if rivals is not None
        else {}
    )
    return Scored(logits, cosines, {name: each.float() for name, each in others.items()})


def judge(router: Router, batch: Batch, said: Said, pool: Tensor) -> tuple[Tensor, Tensor]:
    """Score what was encoded, conversations and the batch's distinct candidates; gives logits and cosines."""
    routes = Routes(
        vectors=pool[batch.pool_index],
        covers_domain=batch.covers_domain,
        mask=batch.candidate_mask,
        examples=pool[batch.examples.index],
        example_mask=batch.examples.mask,
        not_examples=pool[batch.not_examples.index],
        not_example_mask=batch.not_examples.mask,
    )
    logits = router.reader(said, routes)
    cosines = (routes.vectors @ said.vector.unsqueeze(-1)).squeeze(-1)
    return logits.float(), cosines.float()
