"""The oracle: the checkpoint in transformers, in float32. Needs the extra `build`; imported only where it is used."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from archrouter.domain.tokens import TokenIds


class TransformersOracle:
    """Computes what the endpoint should compute."""

    def __init__(self, checkpoint: Path, device: str, dtype: torch.dtype = torch.float32) -> None:
        """Load the weights; nothing is downloaded."""
        logging.disable_progress_bar()  # this program has one of its own
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = (
            AutoModelForCausalLM.from_pretrained(
                checkpoint, dtype=dtype, attn_implementation="eager", local_files_only=True
            )
            .eval()
            .to(device)
        )
        self._tokenizer = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)

    def prompt_tokens(self, message: str) -> TokenIds:
        """Tokenise a user message inside the chat template; see `Oracle.prompt_tokens`."""
        text = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": message}], tokenize=False, add_generation_prompt=True
        )
        return tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def answer_log_probabilities(self, prompt: TokenIds, answers: Sequence[TokenIds]) -> list[list[float]]:
        """Compute every token of every answer; see `Oracle.answer_log_probabilities`.

        The prompt is read once. The answers then go on from it side by side, padded at their ends, where a causal
        model does not see it.
        """
        device = self._model.device
        width = max(map(len, answers))
        padded = torch.tensor([[*answer, *[0] * (width - len(answer))] for answer in answers], device=device)
        with torch.inference_mode():
            read = self._model(input_ids=torch.tensor([prompt], device=device), use_cache=True, logits_to_keep=1)
            read.past_key_values.batch_repeat_interleave(len(answers))
            rest = self._model(input_ids=padded[:, :-1], past_key_values=read.past_key_values).logits
            logits = torch.cat([read.logits.expand(len(answers), -1, -1), rest], dim=1)
            log_probs = logits.float().log_softmax(-1).gather(-1, padded[:, :, None])[:, :, 0].tolist()
        return [row[: len(answer)] for row, answer in zip(log_probs, answers, strict=True)]
