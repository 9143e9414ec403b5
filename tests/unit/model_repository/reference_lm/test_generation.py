"""Greedy generation and the shape of its answer, over a language model small enough to check by hand."""

from dataclasses import replace

import numpy as np
import pytest
from lm_backend.errors import CancelledCallError, ExecutorError, message_to_client
from lm_backend.generation import GreedyExecutor, choose
from lm_backend.prefix_cache import FloatArray, IntArray, PrefixCache
from lm_backend.requests import GenerationRequest

VOCABULARY_SIZE = 6
END_ID = 5


class NextTokenState:
    """A language model that expects the token after the last one, in a circle of six."""

    fails = False

    def __init__(self) -> None:
        """Start with nothing read."""
        self.read: list[int] = []
        self.piece_lengths: list[int] = []

    def append(self, tokens: IntArray) -> None:
        """Read tokens."""
        self.piece_lengths.append(len(tokens))
        if self.fails:
            message = "broken on purpose"
            raise ExecutorError(message)
        self.read += tokens.tolist()

    def rewind(self, token_count: int) -> None:
        """Forget everything after the first tokens."""
        del self.read[token_count:]

    def last_logits(self) -> FloatArray:
        """Return 2 for the token expected and 0 for the others."""
        logits = np.zeros(VOCABULARY_SIZE, np.float32)
        logits[(self.read[-1] + 1) % VOCABULARY_SIZE] = 2.0
        return logits


class FailingState(NextTokenState):
    """The same, with a forward step that fails."""

    fails = True


# Of the expected token at temperature 1, which the engine raises by 1e-6.
LOGIT = 2.0 / (1.0 + 1e-6)
LOG_PROB = LOGIT - np.log(np.exp(LOGIT) + VOCABULARY_SIZE - 1)


def make_executor(**limits: int | bool) -> tuple[GreedyExecutor[NextTokenState], PrefixCache[NextTokenState]]:
    """Make an executor for sequences of up to 100 tokens, read 32 at a time."""
    cache = PrefixCache(NextTokenState, 2)
    executor = GreedyExecutor(
        cache,
        max_seq_len=int(limits.get("max_seq_len", 100)),
        prefill_chunk_tokens=32,
        gather_generation_logits=bool(limits.get("gather_generation_logits", True)),
    )
    return executor, cache


def never() -> bool:
    """Say that the caller is still there."""
    return False


def test_generation_runs_to_its_full_length_when_no_end_id_is_sent(base_request: GenerationRequest) -> None:
    """Without end_id the token 5 is one like any other."""
    executor, _ = make_executor()

    generation = executor.run(replace(base_request, input_ids=np.array([3], np.int32), max_new_tokens=5), never)

    assert [4, 5, 0, 1, 2] == generation.tokens.tolist()
    assert [pytest.approx(LOG_PROB)] * 5 == generation.log_probs.tolist()
    assert pytest.approx(5 * LOG_PROB) == generation.cum_log_prob


def test_generation_stops_when_the_end_id_is_chosen(base_request: GenerationRequest) -> None:
    """The end token is not part of the answer, but its probability is part of the cumulated one."""
    executor, _ = make_executor()

    generation = executor.run(
        replace(base_request, input_ids=np.array([2], np.int32), max_new_tokens=5, end_id=END_ID), never
    )

    assert [3, 4] == generation.tokens.tolist()
    assert 2 == len(generation.log_probs)
    assert pytest.approx(3 * LOG_PROB) == generation.cum_log_prob
    assert (5, VOCABULARY_SIZE) == generation.logits.shape
    assert [3, 4, 5] == generation.logits[:3].argmax(axis=1).tolist()
    assert not generation.logits[3:].any()


def test_output_is_clamped_when_it_would_exceed_the_sequence_limit(base_request: GenerationRequest) -> None:
    """As in the engine, the answer is shortened; only a prompt that leaves no room at all is refused."""
    executor, _ = make_executor(max_seq_len=6)

    generation = executor.run(
        replace(base_request, input_ids=np.array([0, 1, 2, 3], np.int32), max_new_tokens=50), never
    )

    assert [4, 5] == generation.tokens.tolist()
    assert 2 == len(generation.logits)


def test_a_prompt_is_refused_when_it_leaves_no_room_for_an_answer(base_request: GenerationRequest) -> None:
    """The text is the executor's, so a client that reads it finds the two lengths."""
    executor, _ = make_executor(max_seq_len=6)

    with pytest.raises(ExecutorError) as refusal:
        executor.run(replace(base_request, input_ids=np.array([0] * 6, np.int32)), never)

    expected = (
        "Executor failed process requestId 9 due to the following error: Encountered an error when fetching new "
        "request: Prompt length (6) exceeds maximum input length (5). Set log level to info and check TRTGptModel "
        "logs for how maximum input length is set"
    )
    assert expected == message_to_client(refusal.value, 9)


def test_logits_are_refused_when_the_model_does_not_gather_them(base_request: GenerationRequest) -> None:
    """An engine built without the flag answers the same."""
    executor, _ = make_executor(gather_generation_logits=False)

    with pytest.raises(ExecutorError, match="gather_generation_logits must be enabled in ExecutorConfig"):
        executor.run(replace(base_request, input_ids=np.array([0], np.int32)), never)


def test_a_bias_decides_when_it_outweighs_the_logits(base_request: GenerationRequest) -> None:
    """The bias moves the choice and the log-probability; the logits returned stay raw."""
    executor, _ = make_executor()
    bias = np.full(VOCABULARY_SIZE, -1e9, np.float32)
    bias[[1, 2]] = 0.0

    generation = executor.run(
        replace(base_request, input_ids=np.array([3], np.int32), max_new_tokens=1, embedding_bias=bias), never
    )

    assert [1] == generation.tokens.tolist()
    assert pytest.approx(np.log(0.5)) == generation.cum_log_prob
    assert 4 == generation.logits[0].argmax()


def test_temperature_flattens_the_log_probability_and_not_the_choice() -> None:
    """Logits are divided by temperature + 1e-6 before the softmax over the full vocabulary."""
    logits = np.array([0.0, 2.0, 0.0], np.float32)
    scaled = 2.0 / (4.0 + 1e-6)

    token, log_prob = choose(logits, np.zeros(0, np.float32), 4.0)

    assert 1 == token
    assert pytest.approx(scaled - np.log(np.exp(scaled) + 2), abs=1e-12) == log_prob


def test_the_lowest_token_is_chosen_when_logits_are_equal() -> None:
    """Ties break the same way every time."""
    assert 0 == choose(np.zeros(4, np.float32), np.zeros(0, np.float32), 1.0)[0]


@pytest.mark.parametrize("looks", [0, 1, 2, 3])
def test_a_cancelled_call_stops_before_its_next_step(base_request: GenerationRequest, looks: int) -> None:
    """The call is looked at before each piece of the prompt and before each token; what was read stays usable."""
    executor, cache = make_executor()
    answers = iter([False] * looks + [True])
    prompt = [0] * 64

    with pytest.raises(CancelledCallError):
        executor.run(replace(base_request, input_ids=np.array(prompt, np.int32)), lambda: next(answers))

    assert 32 * min(looks, 2) == cache.lease(np.array([*prompt, 1, 1], np.int32), 0).reused_tokens
    assert 1 == len(cache)


def test_a_state_is_dropped_when_a_forward_step_fails(base_request: GenerationRequest) -> None:
    """The next call starts afresh instead of continuing a state of unknown content."""
    cache = PrefixCache[NextTokenState](FailingState, 2)
    executor = GreedyExecutor(cache, max_seq_len=100, prefill_chunk_tokens=32, gather_generation_logits=True)

    with pytest.raises(ExecutorError, match="broken on purpose"):
        executor.run(replace(base_request, input_ids=np.array([0], np.int32)), never)

    assert 0 == len(cache)


@pytest.mark.parametrize(("prompt_tokens", "pieces"), [(1, [1]), (32, [32]), (33, [33]), (34, [32, 2]), (65, [32, 33])])
def test_the_prompt_is_read_in_pieces_of_which_none_is_a_single_token(
    base_request: GenerationRequest, prompt_tokens: int, pieces: list[int]
) -> None:
    """A lone last token joins the piece before it, so that chunking does not change a bit of the logits."""
    executor, cache = make_executor()
    prompt = [0] * prompt_tokens

    executor.run(replace(base_request, input_ids=np.array(prompt, np.int32), max_new_tokens=1), never)

    assert pieces == cache.lease(np.array(prompt, np.int32), 0).sequence.state.piece_lengths
