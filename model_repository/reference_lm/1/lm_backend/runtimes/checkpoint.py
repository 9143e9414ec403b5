"""What the two GPU runtimes share: a checkpoint's own limits, what they refuse, and an answer from rows of logits."""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lm_backend.errors import CancelledCallError, RequestError, SettingsError, generation_logits_off, prompt_too_long
from lm_backend.generation import Generation, choose, stack_rows
from lm_backend.prefix_cache import FloatArray
from lm_backend.requests import GenerationRequest
from lm_backend.settings import Settings

CONFIG_FILE = "config.json"


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a library generated.

    Attributes:
        token_ids: The tokens, the end token included where it was chosen.
        rows: Raw logits of each step, float32 ``[steps, vocabulary]``.
        reused_tokens: Prompt tokens that came from the cache.
    """

    token_ids: Sequence[int]
    rows: FloatArray
    reused_tokens: int


class CheckpointRuntime(ABC):
    """`Runtime` over a Hugging Face checkpoint, which a library loads, batches and caches by itself."""

    def __init__(self, settings: Settings) -> None:
        """Read the checkpoint's limits; raises SettingsError where there is no checkpoint."""
        file = settings.model_directory / CONFIG_FILE
        if not file.is_file():
            message = (
                f"parameter model_directory is {str(settings.model_directory)!r}, where {CONFIG_FILE} is missing: "
                f"name a Hugging Face checkpoint for the runtime {settings.runtime}"
            )
            raise SettingsError(message)
        config = json.loads(file.read_text(encoding="utf-8"))
        self.vocabulary_size: int = config["vocab_size"]
        self.max_seq_len: int = min(settings.max_seq_len, config["max_position_embeddings"])
        self._settings = settings

    @abstractmethod
    def answer(self, request: GenerationRequest, max_tokens: int) -> Answer:
        """Let the library generate up to ``max_tokens`` tokens greedily."""

    def run(self, request: GenerationRequest, is_cancelled: Callable[[], bool]) -> Generation:
        """Answer a call; see `Runtime.run`. Once it runs it is not cancelled: one step is over in milliseconds."""
        self._refuse(request, is_cancelled)
        scheduled_ns = time.monotonic_ns()
        answer = self.answer(request, min(request.max_new_tokens, self.max_seq_len - len(request.input_ids)))
        now_ns = time.monotonic_ns()  # the libraries answer when they are done, so only the end is timed
        log_probs = [choose(row, request.embedding_bias, request.temperature)[1] for row in answer.rows]
        tokens = [token for token in answer.token_ids if token != request.end_id]
        no_logits = np.zeros((0, 0), np.float32)
        return Generation(
            tokens=np.array(tokens, np.int32),
            log_probs=np.array(log_probs[: len(tokens)], np.float32),
            cum_log_prob=float(sum(log_probs)),
            logits=stack_rows(list(answer.rows), request.max_new_tokens)
            if request.return_generation_logits
            else no_logits,
            reused_tokens=answer.reused_tokens,
            scheduled_ns=scheduled_ns,
            first_token_ns=now_ns,
            last_token_ns=now_ns,
        )

    def _refuse(self, request: GenerationRequest, is_cancelled: Callable[[], bool]) -> None:
        """Refuse what cannot be run, before the library is asked."""
        if len(request.embedding_bias):
            message = f"the runtime {self._settings.runtime} does not support embedding_bias: leave the input out"
            raise RequestError(message)
        if len(request.input_ids) > self.max_seq_len - 1:
            raise prompt_too_long(len(request.input_ids), self.max_seq_len - 1)
        if request.return_generation_logits and not self._settings.gather_generation_logits:
            raise generation_logits_off()
        if is_cancelled():
            message = "the call was cancelled before it was run"
            raise CancelledCallError(message)
