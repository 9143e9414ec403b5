"""Text and token ids: the tokenizer the core needs, and the proof that text may be tokenised in pieces."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Protocol

from archrouter.domain.errors import PromptTemplateError

TokenIds = tuple[int, ...]

_QUOTED_CHARACTERS = 12


class Tokenizer(Protocol):
    """The checkpoint's tokenizer. Pure: equal text gives equal ids."""

    @property
    def vocab_size(self) -> int:
        """Number of ids, control tokens included: every id lies in [0, vocab_size)."""
        ...

    def encode_text(self, text: str) -> TokenIds:
        """Encode text from outside.

        Args:
            text: Any text without lone surrogates.

        Returns:
            Ids in which no added token occurs, special or not, whatever the text spells. A tokenizer file lists
            added tokens that are not special as well (``<tool_call>`` in Qwen2.5's), so ignoring the special ones is
            not enough. No begin or end token is put around the ids.
        """
        ...

    def encode_template(self, text: str) -> TokenIds:
        """Encode the bundle's own text.

        Args:
            text: Text of the prompt or chat template, never a caller's.

        Returns:
            Ids in which control tokens are recognised. No begin or end token is put around them.
        """
        ...


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of the prompt that is tokenised on its own.

    Attributes:
        text: Its text; may be empty.
        is_template: Whether it is the bundle's own text, in which control tokens count; all else is plain.
    """

    text: str
    is_template: bool

    def encode(self, tokenizer: Tokenizer) -> TokenIds:
        """Tokenise the piece by its kind. O(characters)."""
        return tokenizer.encode_template(self.text) if self.is_template else tokenizer.encode_text(self.text)


def check_seams(tokenizer: Tokenizer, segments: Sequence[Segment]) -> None:
    """Prove that tokenising piece by piece gives what tokenising the whole gives.

    A model was trained on the ids of the whole text. A tokenizer that merges characters across a seam would show it
    ids it has never seen there.

    Args:
        tokenizer: The checkpoint's tokenizer.
        segments: Pieces in the order of the prompt; those that are not template must not spell a control token.

    Raises:
        PromptTemplateError: When the ids differ, naming the first seam that merges. O(characters), and O(segments x
            characters) only on the way to the error.
    """
    pieces = [segment.encode(tokenizer) for segment in segments]
    texts = [segment.text for segment in segments]
    if tuple(chain.from_iterable(pieces)) == tokenizer.encode_template("".join(texts)):
        return
    wholes = (tokenizer.encode_template(text) for text in accumulate(texts))
    parts = accumulate(pieces)
    seam = next(index for index, (whole, part) in enumerate(zip(wholes, parts, strict=True)) if whole != part)
    left, right = "".join(texts[:seam])[-_QUOTED_CHARACTERS:], texts[seam][:_QUOTED_CHARACTERS]
    msg = (
        f"the tokenizer merges text across the seam between {left!r} and {right!r}, so the prompt cannot be tokenised "
        "in pieces; use the prompt template these weights were trained with, or put a line break at the seam"
    )
    raise PromptTemplateError(msg)
