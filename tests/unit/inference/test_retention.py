"""Which KV blocks the service asks the TensorRT engine to keep, by the rules of the engine's cache."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from tests.support.kv_blocks import BLOCK, KvBlockPool

from archrouter.bundles.loader import PromptBundle
from archrouter.domain.prompt import Prompt
from archrouter.inference import tensors
from archrouter.inference.language_model import PIN_DURATION_MS, scoring_inputs
from archrouter.inference.triton_client import NamedArray, scalar

CAPACITY = 60
PREFIX = tuple(range(1, 101))
"""A hundred tokens of policies: three whole blocks, and four tokens in the block where conversations begin."""
SHARED_BLOCKS = len(PREFIX) // BLOCK


def prompt_of(conversation: int, prefix: Sequence[int] = PREFIX) -> Prompt:
    """Make the prompt of a conversation that no other shares a token with."""
    ids = (*prefix, *range(1000 * conversation, 1000 * conversation + 3 * BLOCK))
    return Prompt(ids, len(prefix), dropped_message_count=0, dropped_token_count=0)


def request(bundle: PromptBundle, conversation: int, *, pinned: bool = True) -> list[NamedArray]:
    """Write the request of a conversation."""
    return scoring_inputs(bundle, prompt_of(conversation), (), pinned=pinned)


def names(inputs: Sequence[NamedArray]) -> set[str]:
    """List the tensors of a request."""
    return {named.tensor.name for named in inputs}


def test_only_the_shared_blocks_are_pinned_however_many_requests_come(bundle: PromptBundle) -> None:
    """After far more conversations than the pool holds, the policies are found and nothing else is kept."""
    pool = KvBlockPool(CAPACITY)

    found = [pool.run(request(bundle, conversation), now_ms=conversation) for conversation in range(1, 4001)]

    assert {SHARED_BLOCKS} == set(found[1:])
    assert SHARED_BLOCKS == pool.pinned_count


def test_a_range_to_the_end_of_the_policies_would_fill_the_pool_with_pins(bundle: PromptBundle) -> None:
    """The block where the conversation begins starts inside such a range: one more pin for every request."""
    pool = KvBlockPool(CAPACITY)
    changed = {
        tensors.RETENTION_ENDS.name: scalar(tensors.RETENTION_ENDS, len(PREFIX), np.int32),
        tensors.RETENTION_DURATIONS_MS.name: scalar(tensors.RETENTION_DURATIONS_MS, -1, np.int32),
    }

    for conversation in range(1, 501):
        inputs = request(bundle, conversation)
        pool.run([changed.get(named.tensor.name, named) for named in inputs], now_ms=conversation)

    assert pool.pinned_count > CAPACITY * 0.9


def test_pins_lapse_when_nobody_asks_for_the_policy_set(bundle: PromptBundle) -> None:
    """A set that is no longer in use makes room."""
    pool = KvBlockPool(CAPACITY)
    pool.run(request(bundle, 1), now_ms=0)

    pool.run(request(bundle, 2), now_ms=PIN_DURATION_MS - 1)
    renewed = pool.pinned_count
    pool.run(request(bundle, 3, pinned=False), now_ms=2 * PIN_DURATION_MS)

    assert SHARED_BLOCKS == renewed
    assert 0 == pool.pinned_count


@pytest.mark.parametrize("prefix_token_count", [0, BLOCK - 1])
def test_nothing_is_sent_when_no_whole_block_is_shared(bundle: PromptBundle, prefix_token_count: int) -> None:
    """An empty range is not a range: the executor refuses it."""
    prompt = replace(prompt_of(1), prefix_token_count=prefix_token_count)

    sent = names(scoring_inputs(bundle, prompt, (), pinned=True))

    assert not {name for name in sent if name.startswith("retention")}


def test_an_inline_set_pins_nothing(bundle: PromptBundle) -> None:
    """Whoever sends sets along with requests cannot fill the cache with them."""
    assert not {name for name in names(request(bundle, 1, pinned=False)) if name.startswith("retention")}
