"""What the two GPU runtimes share: a checkpoint's own limits, what they refuse, and an answer from rows of logits."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lm_backend.errors import CancelledCallError, RequestError, SettingsError, generation_logits_off, prompt_too_long
from lm_backend.generation import Generation, choose, stack_rows
from lm_backend.prefix_cache import FloatArray
from lm_backend.requests import GenerationRequest
from lm_backend.settings import Settings

CONFIG_FILE = "config.json"


@dataclass(frozen=True, slots=True)
class CheckpointLimits:
    """How a Hugging Face checkpoint limits a call.

    Attributes:
        vocabulary_size: Width of a row of logits, padding included.
        max_seq_len: Tokens of prompt and answer together, at most.
    """

    vocabulary_size: int
    max_seq_len: int

    @classmethod
    def read(cls, settings: Settings) -> "CheckpointLimits":
        """Read ``config.json`` of the checkpoint.

        Raises:
            SettingsError: There is no checkpoint.
        """
        file = settings.model_directory / CONFIG_FILE
        if not file.is_file():
            message = (
                f"parameter model_directory is {str(settings.model_directory)!r}, where {CONFIG_FILE} is missing: "
                f"name a Hugging Face checkpoint for the runtime {settings.runtime}"
            )
            raise SettingsError(message)
        config = json.loads(file.read_text(encoding="utf-8"))
        return cls(config["vocab_size"], min(settings.max_seq_len, config["max_position_embeddings"]))


def check(
    request: GenerationRequest, limits: CheckpointLimits, settings: Settings, is_cancelled: Callable[[], bool]
) -> None:
    """Refuse what cannot be run, before the library is asked.

    Raises:
        RequestError: An embedding bias is sent.
        ExecutorError: The prompt is too long, or logits are asked for and not kept.
        CancelledCallError: The caller has gone already.
    """
    if len(request.embedding_bias):
        message = f"the runtime {settings.runtime} does not support embedding_bias: leave the input out"
        raise RequestError(message)
    if len(request.input_ids) > limits.max_seq_len - 1:
        raise prompt_too_long(len(request.input_ids), limits.max_seq_len - 1)
    if request.return_generation_logits and not settings.gather_generation_logits:
        raise generation_logits_off()
    if is_cancelled():
        message = "the call was cancelled before it was run"
        raise CancelledCallError(message)


def generation(
    request: GenerationRequest,
    token_ids: Sequence[int],
    rows: FloatArray,
    *,
    reused_tokens: int,
    scheduled_ns: int,
) -> Generation:
    """Put an answer together.

    Args:
        request: The call.
        token_ids: What was generated, the end token included where it was chosen.
        rows: Raw logits of each step, float32 ``[steps, vocabulary]``.
        reused_tokens: Prompt tokens that came from the cache.
        scheduled_ns: Steady-clock time at which the call's turn came.

    Returns:
        The answer without the end token. Only its end is timed: the libraries answer when they are done.
    """
    now_ns = time.monotonic_ns()
    log_probs = [choose(row, request.embedding_bias, request.temperature)[1] for row in rows]
    tokens = [token for token in token_ids if token != request.end_id]
    logits = stack_rows(list(rows), request.max_new_tokens) if request.return_generation_logits else np.zeros((0, 0))
    return Generation(
        tokens=np.array(tokens, np.int32),
        log_probs=np.array(log_probs[: len(tokens)], np.float32),
        cum_log_prob=float(sum(log_probs)),
        logits=logits.astype(np.float32, copy=False),
        reused_tokens=reused_tokens,
        scheduled_ns=scheduled_ns,
        first_token_ns=now_ns,
        last_token_ns=now_ns,
    )
