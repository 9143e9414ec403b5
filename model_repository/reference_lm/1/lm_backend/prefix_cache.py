"""KV states of recent prompts, and which of them a new prompt continues.

A state can be rewound to any shorter prefix but not copied, so continuing one costs what lay beyond the shared prefix.
The cache therefore continues a state only where most of it is shared, or all of its pinned part is, and starts another
one otherwise.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int32]
FloatArray = npt.NDArray[np.float32]

# ONNX Runtime takes another kernel for a single token than for several: reading only the last one again moves logits by
# up to 4e-6 in float32 and 7e-3 in int4 (ONNX Runtime 1.32, models of 0.7 and 43 million parameters). With two or more
# the logits of a continued prompt are bit-equal to those of a fresh one in all of them.
RECOMPUTED_TOKENS = 2

# A state without a pin is continued when the shared prefix covers this share of the shorter of the two prompts. Below
# it only the chat template's head is shared, and starting another state keeps both prompts.
CONTINUED_SHARE = 0.5


class KvState(Protocol):
    """A model's memory of one token sequence."""

    def append(self, tokens: IntArray) -> None:
        """Read tokens, int32 ``[count]``, count at least 1."""

    def rewind(self, token_count: int) -> None:
        """Forget everything after the first ``token_count`` tokens."""

    def last_logits(self) -> FloatArray:
        """Return the logits after the last token read, float32 ``[vocabulary]``."""


State = TypeVar("State", bound=KvState)


class Sequence(Generic[State]):
    """A KV state together with the tokens it holds.

    Attributes:
        state: The model's memory.
        tokens: What it remembers, int32 ``[count]``.
        pinned_tokens: Length of the prefix that other prompts must not push out while there is another state to take.
        pinned_until_s: Moment on the monotonic clock at which the pin lapses, in seconds.
        last_use: The cache's running number of the call that used it last.
    """

    __slots__ = ("last_use", "pinned_tokens", "pinned_until_s", "state", "tokens")

    def __init__(self, state: State) -> None:
        """Start with nothing read."""
        self.state = state
        self.tokens: IntArray = np.zeros(0, np.int32)
        self.pinned_tokens = 0
        self.pinned_until_s = math.inf
        self.last_use = 0

    def append(self, tokens: IntArray) -> None:
        """Read tokens, int32 ``[count]``, count at least 1."""
        self.state.append(tokens)
        self.tokens = np.concatenate((self.tokens, tokens))

    def rewind(self, token_count: int) -> None:
        """Forget everything after the first ``token_count`` tokens."""
        if token_count < len(self.tokens):
            self.state.rewind(token_count)
            self.tokens = self.tokens[:token_count]


@dataclass(frozen=True, slots=True)
class Lease(Generic[State]):
    """A sequence rewound to what it shares with a prompt.

    Attributes:
        sequence: Holds exactly the first ``reused_tokens`` of the prompt.
        reused_tokens: Prompt tokens that need not be read again.
    """

    sequence: Sequence[State]
    reused_tokens: int


class PrefixCache(Generic[State]):
    """At most ``capacity`` sequences, least recently used first out, pinned ones last."""

    def __init__(
        self, make_state: Callable[[], State], capacity: int, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Keep up to ``capacity`` states (0: each call starts afresh), made by ``make_state`` when needed."""
        self._make_state = make_state
        self._clock_s = clock_s
        self._capacity = capacity
        self._sequences: list[Sequence[State]] = []
        self._use_count = 0

    def __len__(self) -> int:
        """Return the number of sequences kept."""
        return len(self._sequences)

    def lease(self, prompt: IntArray, pinned_tokens: int, pin_duration_ms: int | None = None) -> Lease[State]:
        """Find the sequence to continue with a prompt, and rewind it to what both share.

        Args:
            prompt: Int32 ``[count]``, count at least 1.
            pinned_tokens: Length of the prompt's prefix to pin, 0 for none.
            pin_duration_ms: How long the pin holds from now on, above 0; None for ever. The next call renews it.

        Returns:
            The sequence, and how much of the prompt it already holds: at most all but ``RECOMPUTED_TOKENS``.
        """
        now_s = self._clock_s()
        for lapsed in self._sequences:
            if lapsed.pinned_until_s <= now_s:
                lapsed.pinned_tokens, lapsed.pinned_until_s = 0, math.inf
        shared = {id(sequence): common_prefix_length(sequence.tokens, prompt) for sequence in self._sequences}
        sequence = self._choose(prompt, shared)
        shared_tokens = shared.get(id(sequence), 0)
        reused_tokens = max(0, min(shared_tokens, len(prompt) - RECOMPUTED_TOKENS))
        if pinned_tokens or shared_tokens < sequence.pinned_tokens:
            sequence.pinned_tokens = pinned_tokens
            sequence.pinned_until_s = math.inf if pin_duration_ms is None else now_s + pin_duration_ms / 1000
        sequence.rewind(reused_tokens)
        self._use_count += 1
        sequence.last_use = self._use_count
        return Lease(sequence, reused_tokens)

    def discard(self, sequence: Sequence[State]) -> None:
        """Drop a sequence whose state can no longer be trusted."""
        self._sequences = [kept for kept in self._sequences if kept is not sequence]

    def _choose(self, prompt: IntArray, shared: dict[int, int]) -> Sequence[State]:
        """Choose the sequence that shares most and may be continued; else a new one; else the one to give up."""
        continued = [sequence for sequence in self._sequences if _may_continue(sequence, prompt, shared[id(sequence)])]
        if continued:
            return max(continued, key=lambda sequence: (shared[id(sequence)], sequence.last_use))
        if len(self._sequences) >= max(1, self._capacity):
            return min(self._sequences, key=lambda sequence: (sequence.pinned_tokens > 0, sequence.last_use))
        sequence = Sequence(self._make_state())
        if self._capacity:
            self._sequences.append(sequence)
        return sequence


def _may_continue(sequence: Sequence[State], prompt: IntArray, shared_tokens: int) -> bool:
    """Say whether a prompt may take over a sequence without losing what is worth keeping."""
    if shared_tokens == len(sequence.tokens):
        return True
    if sequence.pinned_tokens:
        return shared_tokens >= sequence.pinned_tokens
    return shared_tokens >= CONTINUED_SHARE * min(len(sequence.tokens), len(prompt))


def common_prefix_length(first: IntArray, second: IntArray) -> int:
    """Return how many leading tokens two sequences share."""
    length = min(len(first), len(second))
    differences = np.flatnonzero(first[:length] != second[:length])
    return int(differences[0]) if len(differences) else length
