"""What both stand-ins run: the ONNX export that lies beside a checkpoint, greedily and from scratch at each call."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime_genai as og

EXPORT_FOLDER = "onnx"


@dataclass(frozen=True, slots=True)
class Greedy:
    """Tokens, the stop token included, and the raw logits of each, float32 ``[steps, vocabulary]``."""

    token_ids: list[int]
    logits: npt.NDArray[np.float32]


class ExportedModel:
    """The export of a checkpoint folder, and the prompts it has read."""

    def __init__(self, checkpoint: str, max_length: int) -> None:
        """Load it."""
        og.disable_telemetry_events()
        self._model = og.Model(str(Path(checkpoint) / EXPORT_FOLDER))
        self._max_length = max_length
        self._prompts: list[list[int]] = []

    def shared_prefix(self, prompt: list[int]) -> int:
        """Count the tokens a prompt shares with one before it, all but the last, and remember it."""
        lengths = [0]
        for earlier in self._prompts:
            pairs = zip(earlier, prompt, strict=False)
            lengths.append(next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(earlier), len(prompt))))
        self._prompts.append(prompt)
        return min(max(lengths), len(prompt) - 1)

    def generate(self, prompt: list[int], max_tokens: int, stop_id: int | None) -> Greedy:
        """Take the most likely token at each step."""
        parameters = og.GeneratorParams(self._model)
        parameters.set_search_options(max_length=self._max_length, do_sample=False)
        generator = og.Generator(self._model, parameters)
        generator.append_tokens(np.array(prompt, np.int32))
        token_ids: list[int] = []
        rows = []
        while True:
            row = np.array(generator.get_logits()[0, -1], np.float32)
            rows.append(row)
            token_ids.append(int(row.argmax()))
            if len(token_ids) == max_tokens or token_ids[-1] == stop_id:
                return Greedy(token_ids, np.array(rows))
            generator.append_tokens(np.array(token_ids[-1:], np.int32))
