"""How routes and conversations are written as JSON: the dialects that router weights are used with.

All write a list of objects whose keys and values are strings, routes as ``name, description`` and messages as
``role, content``. They differ in bytes, so in tokens and logits: thresholds fitted on one do not hold on another.
Sources: the example code of the model card (katanemo/Arch-Router-1.5B), the reference gateway (katanemo/archgw,
``router_model_v1.rs``), and the gateway of the successor's weights (katanemo/plano, ``orchestrator_model_v1.rs``).

A record here is one object without the punctuation before its first key and after its last value. So every list is the
form's opening, the records joined by its separator, and its closing; and every record begins with the letters of its
first key, where the pre-tokenizers of the GPT and Qwen families start a new word. So a record is a unit of tokenising:
a message has the same tokens wherever in the conversation it stands, except as the last.
`archrouter.domain.tokens.check_seams` holds the tokenizer at hand to that.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from archrouter.domain.conversation import Message
from archrouter.domain.policy import RoutePolicy

_SURROGATE = re.compile("[\ud800-\udfff]")
_REPLACEMENT_CHARACTER = "\ufffd"


@dataclass(frozen=True, slots=True)
class ListForm:
    """The punctuation of a list of objects.

    Attributes:
        opening: Before the first record.
        separator: Between two records.
        closing: After the last record.
        colon: Between a key and its value, quotes included.
        comma: Between a value and the next key, quotes included.
    """

    opening: str
    separator: str
    closing: str
    colon: str
    comma: str


_SPACED = ListForm('[{"', '"}, {"', '"}]', '": "', '", "')
_COMPACT = ListForm('[{"', '"},{"', '"}]', '":"', '","')
_NO_PARAMETERS = '", "parameters": {"type": "object", "properties": {}, "required": []}}'
_LINES = ListForm('{"', f'{_NO_PARAMETERS}\n{{"', _NO_PARAMETERS, '": "', '", "')
_INDENTED = ListForm('[\n    {\n        "', '"\n    },\n    {\n        "', '"\n    }\n]', '": "', '",\n        "')


class Dialect(Enum):
    """Which JSON a model was trained to read."""

    CARD = "card"
    """``json.dumps`` with its defaults: a space after ``,`` and ``:``, everything outside ASCII escaped."""

    GATEWAY = "gateway"
    """serde_json: no spaces, UTF-8 kept; ``json.dumps`` escapes the same characters in the same way."""

    PLANO = "plano"
    """Routes one object a line, each with an empty ``parameters`` schema; messages indented by 4; UTF-8 kept."""

    @property
    def routes(self) -> ListForm:
        """How the list of routes is written."""
        return _FORMS[self][0]

    @property
    def messages(self) -> ListForm:
        """How the conversation is written."""
        return _FORMS[self][1]

    def route_record(self, route: RoutePolicy, tags: "TagGuard") -> str:
        """Write the record of a policy, whose text is untrusted. O(characters)."""
        return self._record(self.routes, {"name": route.id, "description": route.description}, tags)

    def message_record(self, message: Message, tags: "TagGuard") -> str:
        """Write the record of a message, whose content is untrusted. O(characters)."""
        return self._record(self.messages, {"role": message.role.value, "content": message.content}, tags)

    def written(self, text: str) -> str:
        """Write a text as a JSON string without its quotes. O(characters)."""
        return json.dumps(text, ensure_ascii=self is Dialect.CARD)[1:-1]

    def _record(self, form: ListForm, fields: dict[str, str], tags: "TagGuard") -> str:
        text = form.comma.join(f"{key}{form.colon}{self.written(value)}" for key, value in fields.items())
        # Escaped already in CARD; elsewhere a lone surrogate is not text and no encoder would take it.
        return tags.neutralise(_SURROGATE.sub(_REPLACEMENT_CHARACTER, text))


_FORMS = {
    Dialect.CARD: (_SPACED, _SPACED),
    Dialect.GATEWAY: (_COMPACT, _COMPACT),
    Dialect.PLANO: (_LINES, _INDENTED),
}


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
        """Escape every tag in text inside JSON strings: the same JSON value without the tags' bytes. O(characters)."""
        return self._tag.sub(r"\\u003c", json_text) if self._tag else json_text
