"""The paged KV cache of TensorRT-LLM, as far as reuse and eviction go.

The rules as read in NVIDIA/TensorRT-LLM (cpp/tensorrt_llm/batch_manager: kvCacheManager, evictionPolicy, and the
documentation of ``KvCacheRetentionConfig``): a block holds 32 tokens and is known by all tokens up to its end; a block
whose first token lies in a range gets that range's priority, any other 35; of the free blocks the one of the lowest
priority that was released first is given up; a priority lapses to 35 when its duration has passed since the release.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from archrouter.inference import tensors
from archrouter.inference.triton_client import NamedArray

DEFAULT_PRIORITY = 35
BLOCK = 32
NO_EXPIRY = -1


@dataclass(slots=True)
class Block:
    """One block that may be reused."""

    priority: int
    released_at_ms: float
    lapses_at_ms: float


class KvBlockPool:
    """A pool of blocks, and how many of them each request found."""

    def __init__(self, capacity: int) -> None:
        """Start with every block free and empty."""
        self._capacity = capacity
        self._blocks: dict[tuple[int, ...], Block] = {}

    @property
    def pinned_count(self) -> int:
        """Blocks above the default priority."""
        return sum(block.priority > DEFAULT_PRIORITY for block in self._blocks.values())

    def run(self, inputs: Sequence[NamedArray], now_ms: float) -> int:
        """Run one request to its end.

        Args:
            inputs: The request, as the service sends it.
            now_ms: The time, never less than before.

        Returns:
            Blocks of the prompt that were found.
        """
        values = {named.tensor.name: named.value.reshape(-1).tolist() for named in inputs}
        ids = tuple(values[tensors.INPUT_IDS.name])
        for block in self._blocks.values():
            if block.lapses_at_ms <= now_ms:
                block.priority, block.lapses_at_ms = DEFAULT_PRIORITY, math.inf
        keys = [ids[: start + BLOCK] for start in range(0, len(ids) - BLOCK + 1, BLOCK)]
        found = 0
        while found < len(keys) and keys[found] in self._blocks:
            found += 1
        for key in keys[found:]:
            self._make_room(keep=set(keys))
            self._blocks[key] = Block(DEFAULT_PRIORITY, now_ms, math.inf)
        for key in keys:
            priority, duration_ms = _priority(values, len(key) - BLOCK)
            lapses_at_ms = math.inf if duration_ms == NO_EXPIRY else now_ms + duration_ms
            self._blocks[key] = Block(priority, now_ms, lapses_at_ms)
        return found

    def _make_room(self, keep: set[tuple[int, ...]]) -> None:
        if len(self._blocks) >= self._capacity:
            free = {key: block for key, block in self._blocks.items() if key not in keep}
            del self._blocks[min(free, key=lambda key: (free[key].priority, free[key].released_at_ms, -len(key)))]


def _priority(values: dict[str, list[int]], first_token: int) -> tuple[int, int]:
    """Find the priority of the block that begins at a token, and for how long."""
    starts = values.get(tensors.RETENTION_STARTS.name, [])
    ends = values.get(tensors.RETENTION_ENDS.name, [])
    priorities = values.get(tensors.RETENTION_PRIORITIES.name, [])
    durations = values.get(tensors.RETENTION_DURATIONS_MS.name, [NO_EXPIRY] * len(starts))
    for start, end, priority, duration_ms in zip(starts, ends, priorities, durations, strict=True):
        if start <= first_token < end:
            return priority, duration_ms
    return DEFAULT_PRIORITY, NO_EXPIRY
