r"""The text of the prompt, cut into the pieces that are tokenised on their own.

The prompt is one user message inside the checkpoint's chat template::

    template   chat head, prompt up to the routes, opening of their list, as [{"
    plain      routes, closing of the list, line breaks            from the policy file or, inline, from a caller
    template   prompt between the slots, opening of the conversation
    plain      messages, one piece each, closing, line breaks      from a caller
    template   rest of the prompt, chat tail with the assistant header

The line breaks after a slot belong to the piece before them, because pre-tokenizers of the GPT and Qwen families take
them with the punctuation they follow.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property

from archrouter.domain.answer import AnswerSkeleton
from archrouter.domain.conversation import Message
from archrouter.domain.dialect import Dialect, TagGuard
from archrouter.domain.errors import PromptTemplateError
from archrouter.domain.policy import RoutePolicy
from archrouter.domain.tokens import Segment

ROUTES_SLOT = "{routes}"
CONVERSATION_SLOT = "{conversation}"

_TAG = re.compile(r"</?\s*([^\W\d][\w.-]*)\s*>")


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """The prompt's own text around its two slots.

    Attributes:
        before_routes: Text before ``{routes}``.
        between: Text between the slots.
        after_conversation: Text after ``{conversation}``.
    """

    before_routes: str
    between: str
    after_conversation: str

    @classmethod
    def parse(cls, text: str) -> "PromptTemplate":
        """Find the slots. They are cut out here, once, so nothing that is put in can be taken for a slot.

        Args:
            text: Template with ``{routes}`` and ``{conversation}``, each once, in this order; other braces are text.

        Returns:
            The text around them. O(characters).

        Raises:
            PromptTemplateError: When a slot is missing, repeated or out of order.
        """
        for slot in (ROUTES_SLOT, CONVERSATION_SLOT):
            if text.count(slot) != 1:
                msg = f"the prompt template holds {slot} {text.count(slot)} times; write it exactly once"
                raise PromptTemplateError(msg)
        before_routes, rest = text.split(ROUTES_SLOT)
        if CONVERSATION_SLOT in before_routes:
            msg = (
                f"the prompt template has {CONVERSATION_SLOT} before {ROUTES_SLOT}; put the routes first, so that all "
                "requests of a policy set share their beginning"
            )
            raise PromptTemplateError(msg)
        between, after_conversation = rest.split(CONVERSATION_SLOT)
        return cls(before_routes, between, after_conversation)

    @property
    def tag_names(self) -> frozenset[str]:
        """Names of the tags that mark the prompt's sections, e.g. ``conversation``."""
        return frozenset(_TAG.findall(f"{self.before_routes}\n{self.between}\n{self.after_conversation}"))


@dataclass(frozen=True)
class PromptFormat:
    """Everything but the tokenizer that decides a prompt; it travels with the weights.

    Attributes:
        template: The prompt.
        dialect: How routes and messages are written.
        chat_head: What the chat template puts before the user message, default system message included.
        chat_tail: What it puts after the user message, assistant header included.
        end_token: Text of the control token that ends the model's turn, e.g. ``<|im_end|>``.
        skeleton: Form of the answer.
    """

    template: PromptTemplate
    dialect: Dialect
    chat_head: str
    chat_tail: str
    end_token: str
    skeleton: AnswerSkeleton = field(default_factory=AnswerSkeleton)

    @cached_property
    def version(self) -> str:
        """SHA-256 over all of it, as ``sha256:<64 hex digits>``."""
        canonical = json.dumps(asdict(self), default=lambda member: member.value, sort_keys=True)
        return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()

    def prefix(self, routes: Sequence[RoutePolicy]) -> tuple[Segment, Segment, Segment]:
        """Write what comes before the messages: the same for all requests of a policy set; routes are untrusted."""
        form = self.dialect.routes
        records = form.separator.join(self.dialect.route_record(route, self._tags) for route in routes)
        line_breaks, between = _split_line_breaks(self.template.between)
        return (
            Segment(self.chat_head + self.template.before_routes + form.opening, is_template=True),
            Segment(records + form.closing + line_breaks, is_template=False),
            Segment(between + self.dialect.messages.opening, is_template=True),
        )

    def message(self, message: Message, *, last: bool) -> Segment:
        """Write one untrusted message, whatever stands around it; the section ends after the last. O(characters)."""
        line_breaks, _ = _split_line_breaks(self.template.after_conversation)
        form = self.dialect.messages
        close = form.closing + line_breaks if last else form.separator
        return Segment(self.dialect.message_record(message, self._tags) + close, is_template=False)

    @property
    def tail(self) -> Segment:
        """What comes after the messages, up to where the model answers."""
        _, after_conversation = _split_line_breaks(self.template.after_conversation)
        return Segment(after_conversation + self.chat_tail, is_template=True)

    def segments(self, routes: Sequence[RoutePolicy], messages: Sequence[Message]) -> tuple[Segment, ...]:
        """Write the whole prompt of at least one route and one message; the texts joined are what people read."""
        last = len(messages) - 1
        written = (self.message(message, last=index == last) for index, message in enumerate(messages))
        return (*self.prefix(routes), *written, self.tail)

    @cached_property
    def _tags(self) -> TagGuard:
        return TagGuard(self.template.tag_names)


def _split_line_breaks(text: str) -> tuple[str, str]:
    """Cut after the last line break of the leading white space; at the beginning when there is none."""
    white_space = text[: len(text) - len(text.lstrip())]
    cut = max(white_space.rfind("\n"), white_space.rfind("\r")) + 1
    return text[:cut], text[cut:]
