"""How texts become tokens, in training as in the served model."""

from collections.abc import Callable
from dataclasses import dataclass

from compact_model.conversation import SpecialTokens, Tokens


@dataclass(frozen=True, slots=True)
class TextReader:
    """Reads texts as the served model does.

    Attributes:
        candidate: A candidate's text to token ids without special tokens.
        message: The same of a message, whose spelling is put right first.
        special: The tokens that mark a sequence's parts.
    """

    candidate: Callable[[str], Tokens]
    message: Callable[[str], Tokens]
    special: SpecialTokens
