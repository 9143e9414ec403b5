"""Stand-in for ``vllm.inputs``."""

from typing import TypedDict


class TokensPrompt(TypedDict):
    """A prompt of token ids."""

    prompt_token_ids: list[int]
