"""Which KV state a prompt continues, and what the cache says of it is what the state holds."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from lm_backend.prefix_cache import (
    RECOMPUTED_TOKENS,
    FloatArray,
    IntArray,
    Lease,
    PrefixCache,
    common_prefix_length,
)

# What even the state that is given up shares with every prompt.
HEAD_TOKENS = 2


class RecordingState:
    """A KV state that only remembers the tokens it read."""

    def __init__(self) -> None:
        """Start with nothing read."""
        self.read: list[int] = []

    def append(self, tokens: IntArray) -> None:
        """Read tokens."""
        self.read += tokens.tolist()

    def rewind(self, token_count: int) -> None:
        """Forget everything after the first tokens."""
        assert token_count <= len(self.read)
        del self.read[token_count:]

    def last_logits(self) -> FloatArray:
        """Return nothing of interest."""
        return np.zeros(1, np.float32)


def tokens(*values: int) -> IntArray:
    """Make a token array."""
    return np.array(values, np.int32)


def run(cache: PrefixCache[RecordingState], prompt: IntArray, pinned_tokens: int = 0) -> Lease[RecordingState]:
    """Lease a state and read the rest of the prompt, as the executor does."""
    lease = cache.lease(prompt, pinned_tokens)
    lease.sequence.append(prompt[lease.reused_tokens :])
    return lease


def prompt_of(policy_set: int, conversation: int) -> IntArray:
    """Make a prompt: a head all share, the policy set's tokens, the conversation's."""
    return tokens(*[0] * HEAD_TOKENS, *[policy_set] * 20, *[conversation] * 5)


def test_a_prompt_continues_the_state_of_its_policy_set_when_it_shares_most_of_it() -> None:
    """The second conversation of a policy set reads only its own tokens."""
    cache = PrefixCache(RecordingState, capacity=4)

    first, second = run(cache, prompt_of(1, 7)), run(cache, prompt_of(1, 8))

    assert 0 == first.reused_tokens
    assert 22 == second.reused_tokens
    assert 1 == len(cache)


def test_another_policy_set_gets_its_own_state_when_only_the_head_is_shared() -> None:
    """Rewinding to the chat template's head would throw a whole policy set away."""
    cache = PrefixCache(RecordingState, capacity=4)

    run(cache, prompt_of(1, 7))
    other = run(cache, prompt_of(2, 7))
    again = run(cache, prompt_of(1, 8))

    assert 0 == other.reused_tokens
    assert 22 == again.reused_tokens
    assert 2 == len(cache)


def test_the_last_tokens_are_read_again_when_the_whole_prompt_is_known() -> None:
    """The logits after the prompt need its last token, and two of them to be bit-equal to a fresh run."""
    cache = PrefixCache(RecordingState, capacity=4)

    run(cache, prompt_of(1, 7))

    assert 27 - RECOMPUTED_TOKENS == run(cache, prompt_of(1, 7)).reused_tokens
    assert 0 == run(cache, tokens(0)).reused_tokens


def test_the_least_recently_used_state_goes_when_the_cache_is_full() -> None:
    """Of two policy sets the one used longer ago makes room for a third."""
    cache = PrefixCache(RecordingState, capacity=2)
    for policy_set in (1, 2, 1, 3):
        run(cache, prompt_of(policy_set, 7))

    assert 2 == len(cache)
    assert 22 == run(cache, prompt_of(1, 8)).reused_tokens
    assert HEAD_TOKENS == run(cache, prompt_of(2, 8)).reused_tokens


def test_a_pinned_prefix_outlives_more_recent_states_when_the_cache_is_full() -> None:
    """Unpinned traffic takes turns in the other state."""
    cache = PrefixCache(RecordingState, capacity=2)
    run(cache, prompt_of(1, 7), pinned_tokens=22)
    for policy_set in (2, 3, 4):
        run(cache, prompt_of(policy_set, 7))

    assert 22 == run(cache, prompt_of(1, 8), pinned_tokens=22).reused_tokens


def test_a_pinned_prefix_is_not_cut_when_a_prompt_shares_less_than_it() -> None:
    """A prompt that shares most of a pinned state, but not all of its pin, starts another one."""
    cache = PrefixCache(RecordingState, capacity=2)
    run(cache, prompt_of(1, 7), pinned_tokens=22)

    shorter = run(cache, prompt_of(1, 7)[:20])

    assert 0 == shorter.reused_tokens
    assert 22 == run(cache, prompt_of(1, 8)).reused_tokens


def test_a_pinned_prefix_goes_like_any_other_when_its_time_is_over() -> None:
    """A pin that nobody renews does not keep its state for ever; a call in time renews it."""
    now_s = 0.0
    cache = PrefixCache(RecordingState, 2, lambda: now_s)
    renewed, lapsed = tokens(1, 2, 3, 4, 5), tokens(6, 7, 8, 9, 10)
    for prompt in (renewed, lapsed):
        lease = cache.lease(prompt, 4, 1000)
        lease.sequence.append(prompt[lease.reused_tokens :])
    now_s = 0.9
    lease = cache.lease(renewed, 4, 1000)
    lease.sequence.append(renewed[lease.reused_tokens :])

    now_s = 1.5
    run(cache, tokens(11, 12, 13, 14, 15))

    assert run(cache, renewed, 4).reused_tokens == 3
    assert run(cache, lapsed, 4).reused_tokens == 0


def test_a_pinned_state_goes_when_all_are_pinned() -> None:
    """Pins order the states; they never refuse a call."""
    cache = PrefixCache(RecordingState, capacity=2)
    for policy_set in (1, 2, 3):
        run(cache, prompt_of(policy_set, 7), pinned_tokens=22)

    assert 2 == len(cache)
    assert HEAD_TOKENS == run(cache, prompt_of(1, 8), pinned_tokens=22).reused_tokens


def test_nothing_is_kept_when_the_capacity_is_zero() -> None:
    """Reuse switched off means that every prompt is read whole."""
    cache = PrefixCache(RecordingState, capacity=0)

    assert 0 == run(cache, prompt_of(1, 7)).reused_tokens
    assert 0 == run(cache, prompt_of(1, 7)).reused_tokens
    assert 0 == len(cache)


def test_a_discarded_state_is_never_continued() -> None:
    """What failed half-way is forgotten."""
    cache = PrefixCache(RecordingState, capacity=4)

    cache.discard(run(cache, prompt_of(1, 7)).sequence)

    assert 0 == len(cache)
    assert 0 == run(cache, prompt_of(1, 7)).reused_tokens


def test_the_state_of_a_cancelled_prompt_is_continued_when_the_next_one_begins_like_it() -> None:
    """A state that is a prefix of the prompt loses nothing, pinned or not."""
    cache = PrefixCache(RecordingState, capacity=4)
    lease = cache.lease(prompt_of(1, 7), 22)
    lease.sequence.append(prompt_of(1, 7)[:10])

    assert 10 == run(cache, prompt_of(1, 8), pinned_tokens=22).reused_tokens
    assert 1 == len(cache)


PROMPTS = st.lists(st.integers(0, 2), min_size=1, max_size=12).map(lambda values: tokens(*values))


@given(calls=st.lists(st.tuples(PROMPTS, st.integers(0, 12)), max_size=30), capacity=st.integers(0, 3))
def test_reused_tokens_are_the_prompts_own_whatever_came_before(
    calls: list[tuple[IntArray, int]], capacity: int
) -> None:
    """A leased state holds exactly the reused part of the prompt, and the cache keeps to its capacity."""
    cache = PrefixCache(RecordingState, capacity)
    for prompt, pinned_tokens in calls:
        lease = cache.lease(prompt, min(pinned_tokens, len(prompt)))

        assert prompt[: lease.reused_tokens].tolist() == lease.sequence.state.read
        assert lease.sequence.state.read == lease.sequence.tokens.tolist()
        assert max(0, len(prompt) - RECOMPUTED_TOKENS) >= lease.reused_tokens
        assert capacity >= len(cache)
        lease.sequence.append(prompt[lease.reused_tokens :])


@given(first=PROMPTS, second=PROMPTS)
def test_the_common_prefix_is_the_longest_equal_start(first: IntArray, second: IntArray) -> None:
    """It is equal up to its length and not one token further."""
    length = common_prefix_length(first, second)

    assert first[:length].tolist() == second[:length].tolist()
    assert first[: length + 1].tolist() != second[: length + 1].tolist() or length == len(first) == len(second)
