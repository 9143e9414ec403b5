"""How routes and conversations are written as JSON: the two dialects Arch-Router's weights are used with.

Both write a list of objects whose keys and values are strings, routes as ``name, description`` and messages as
``role, content``. They differ in bytes, so in tokens and logits: thresholds fitted on one do not hold on the other.
Sources: the example code of the model card (katanemo/Arch-Router-1.5B) and the reference gateway (katanemo/archgw,
``router_model_v1.rs``).

A record here is one object without its first two and last two characters, ``{"`` and ``"}``. So every list is
`LIST_OPEN`, the records joined by the dialect's separator, and `LIST_CLOSE`; and every record begins with the letters
of its first key, where the pre-tokenizers of the GPT and Qwen families start a new word. So a record is a unit of
tokenising: a message has the same tokens wherever in the conversation it stands, except as the last.
`archrouter.domain.tokens.check_seams` holds the tokenizer at hand to that.
"""

import json
import re
from collections.abc import Iterable
from enum import Enum

from archrouter.domain.conversation import Message
from archrouter.domain.policy import RoutePolicy

LIST_OPEN = '[{"'
LIST_CLOSE = '"}]'

_OBJECT_EDGE_CHARACTERS = len('{"')
_SURROGATE = re.compile("[\ud800-\udfff]")
_REPLACEMENT_CHARACTER = "\ufffd"


class Dialect(Enum):
    """Which JSON a model was trained to read."""

    CARD = "card"
    """``json.dumps`` with its defaults: a space after ``,`` and ``:``, everything outside ASCII escaped."""

    GATEWAY = "gateway"
    """serde_json: no spaces, UTF-8 kept; ``json.dumps`` escapes the same characters in the same way."""

    @property
    def separator(self) -> str:
        """What stands between two records."""
        return '"}, {"' if self is Dialect.CARD else '"},{"'

    def route_record(self, route: RoutePolicy, tags: "TagGuard") -> str:
        """Write the record of a policy, whose text is untrusted. O(characters)."""
        return self._record({"name": route.id, "description": route.description}, tags)

    def message_record(self, message: Message, tags: "TagGuard") -> str:
        """Write the record of a message, whose content is untrusted. O(characters)."""
        return self._record({"role": message.role.value, "content": message.content}, tags)

    def _record(self, fields: dict[str, str], tags: "TagGuard") -> str:
        card = self is Dialect.CARD
        text = json.dumps(fields, ensure_ascii=card, separators=None if card else (",", ":"))
        # Escaped already in CARD; in GATEWAY a lone surrogate is not text and no encoder would take it.
        text = _SURROGATE.sub(_REPLACEMENT_CHARACTER, text)
        return tags.neutralise(text[_OBJECT_EDGE_CHARACTERS:-_OBJECT_EDGE_CHARACTERS])


class TagGuard:
    r"""Keeps untrusted text from opening or closing a section of the prompt.

    The template marks its sections with tags such as ``</conversation>``. Where a JSON string holds one of them, its
    ``<`` is written as the JSON escape ``\u003c``: a JSON reader sees the same string, but the bytes of the tag occur
    in the template's own text only. Letter case and spaces inside the tag make no difference. All other text, angle
    brackets included, keeps the bytes of its dialect.
    """

    __slots__ = ("_tag",)

    def __init__(self, names: Iterable[str]) -> None:
        """Guard the tags of these names; none guards nothing."""
        alternatives = "|".join(re.escape(name) for name in sorted(set(names)))
        self._tag = re.compile(rf"<(?=\s*/?\s*(?:{alternatives})\b)", re.IGNORECASE) if alternatives else None

    def neutralise(self, json_text: str) -> str:
        """Escape every tag.

        Args:
            json_text: Text inside JSON strings, already escaped.

        Returns:
            The same JSON value without the tags' bytes; `json_text` itself where it holds none. O(characters).
        """
        return self._tag.sub(r"\\u003c", json_text) if self._tag else json_text
