"""A checkpoint's ``tokenizer.json``, with caller text kept apart from control tokens."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer as _Tokenizer


class HfTokenizer:
    """`Tokenizer` over the ``tokenizers`` library.

    Two views of one vocabulary: the whole tokenizer for template text, and one without any added token for caller
    text. Leaving the added tokens out is stricter than the library's ``encode_special_tokens``, which still
    recognises added tokens that are not marked special, such as Qwen2.5's ``<tool_call>``.
    """

    def __init__(self, serialized: bytes) -> None:
        """Build both views from the content of ``tokenizer.json``; ValueError when it is no tokenizer."""
        self.digest = "sha256:" + hashlib.sha256(serialized).hexdigest()
        try:
            specification = json.loads(serialized)
            self.control_ids = frozenset(int(token["id"]) for token in specification["added_tokens"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            msg = f"it is no tokenizer with its added_tokens ({type(error).__name__}: {error})"
            raise ValueError(msg) from error
        self._template = _load(specification)
        # Truncation and padding belong to training; an exact token count must never be cut by them.
        self._text = _load({**specification, "added_tokens": [], "post_processor": None})
        self.vocab_size: int = self._template.get_vocab_size(with_added_tokens=True)

    @classmethod
    def from_file(cls, path: Path) -> "HfTokenizer":
        """Read ``tokenizer.json``."""
        return cls(path.read_bytes())

    def encode_text(self, text: str) -> tuple[int, ...]:
        """Encode caller text, whatever it holds, into ids of which none is in `control_ids`. O(characters)."""
        # Unlike `encode`, this lets other Python threads run meanwhile.
        (encoding,) = self._text.encode_batch([text], add_special_tokens=False)
        return tuple(encoding.ids)

    def encode_template(self, text: str) -> tuple[int, ...]:
        """Encode text of our own, never a caller's: control tokens in it mean what they say. O(characters)."""
        return tuple(self._template.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Turn ids back into text, control tokens included."""
        return str(self._template.decode(list(ids), skip_special_tokens=False))

    def control_id(self, token: str) -> int:
        """Return the id of a control token such as ``<|im_end|>``; ValueError when there is none."""
        found = self._template.token_to_id(token)
        if found is None or found not in self.control_ids:
            msg = f"the tokenizer has no control token {token!r}"
            raise ValueError(msg)
        return int(found)


def _load(specification: dict[str, object]) -> _Tokenizer:
    try:
        tokenizer = _Tokenizer.from_str(json.dumps(specification))
    except Exception as error:  # the library raises no narrower one
        msg = f"it is no tokenizer of the library tokenizers ({error})"
        raise ValueError(msg) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
