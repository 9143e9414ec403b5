"""From a policy set and a conversation to the token ids of the prompt.

The pieces of `archrouter.domain.template` are tokenised one by one: template text with control tokens, everything else
as plain text. What a caller writes is therefore never a control token, a section tag or a slot. Everything up to the
messages is tokenised once per policy-set revision and comes first, so the engine's paged KV cache can reuse it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from archrouter.domain.answer import candidate_sequences, longer_sequences
from archrouter.domain.conversation import Conversation, Message, Role, estimated_token_count
from archrouter.domain.errors import PromptTemplateError, PromptTooLongError
from archrouter.domain.examples import EXAMPLE_SHARE, with_examples
from archrouter.domain.policy import PolicySet, RoutePolicy
from archrouter.domain.scoring import Overflow
from archrouter.domain.template import PromptFormat
from archrouter.domain.tokens import Segment, TokenIds, Tokenizer, check_seams
from archrouter.domain.trie import CandidateTrie
from archrouter.domain.truncation import ELISION_MARKER, EncodeMessage, fit_conversation, split_newest

MIN_MESSAGE_TOKENS = 32
"""Tokens of the latest user message there must be room for beside the policies, or the policy set is refused."""

_SEAM_PROBES = (
    *("a", "Z", "7", ".", "?!", '"', "'", "\\", "/", "}", "]}", "{[", "<", ">", "-", "_"),
    *(" ", "  ", "\t", "\n", "\r\n", "\x00", "é", "\u0301", "你好", "א", "🙂"),
)
"""Texts made of each kind of character that a pre-tokenizer tells apart."""


class AbandonedError(Exception):
    """Nobody waits for the prompt any more."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is given for one request.

    Attributes:
        ids: Tokens from the chat head to the assistant header. A call appends a path of the trie.
        prefix_token_count: How many of the first tokens are the same for every request of the policy set.
        dropped_message_count: Messages left out as a whole.
        dropped_token_count: Tokens of the conversation left out.
    """

    ids: TokenIds
    prefix_token_count: int
    dropped_message_count: int
    dropped_token_count: int


@dataclass(frozen=True, slots=True)
class CompiledPrompt:
    """What is made once per policy-set revision.

    Attributes:
        policy_set_revision: Revision it was made from.
        prefix_ids: Tokens before the messages.
        tail_ids: Tokens after them, assistant header included.
        trie: The candidates: the routes in policy order, then no match.
        vocab_size: Ids of the tokenizer.
        max_prompt_token_count: Tokens the model reads at most, a call's path included.
        max_message_count: The newest messages it reads, >= 2; None reads all.
        encode_message: Tokenises one message.
    """

    policy_set_revision: str
    prefix_ids: TokenIds
    tail_ids: TokenIds
    trie: CandidateTrie
    vocab_size: int
    max_prompt_token_count: int
    max_message_count: int | None
    encode_message: EncodeMessage

    @property
    def max_conversation_token_count(self) -> int:
        """Tokens left for the messages once the longest path of the trie has room as well."""
        return self.max_prompt_token_count - self._fixed_token_count

    @property
    def _fixed_token_count(self) -> int:
        return len(self.prefix_ids) + len(self.tail_ids) + self.trie.max_path_token_count

    def assemble(
        self,
        conversation: Conversation,
        overflow: Overflow = Overflow.TRUNCATE,
        is_abandoned: Callable[[], bool] = lambda: False,
    ) -> Prompt:
        """Build the prompt of one request.

        Args:
            conversation: What the router reads; untrusted.
            overflow: What to do when it is too long.
            is_abandoned: Asked before each tokenisation whether to stop, because it may go on long after its caller
                has gone.

        Returns:
            A prompt within the budget for every path of the trie, the latest user message in it. O(budget), see
            `fit_conversation`.

        Raises:
            PromptTooLongError: When it is too long and may not be truncated.
            AbandonedError: When it is abandoned.
        """

        def encode(message: Message, *, last: bool) -> TokenIds:
            if is_abandoned():
                raise AbandonedError
            return self.encode_message(message, last=last)

        older, newest = split_newest(conversation.messages, self.max_message_count)
        fitted = fit_conversation(newest, encode, self.max_conversation_token_count)
        if overflow is Overflow.REJECT and (fitted.dropped_message_count or fitted.dropped_token_count):
            raise PromptTooLongError(
                prompt_token_count=self._fixed_token_count + len(fitted.ids) + fitted.dropped_token_count,
                max_prompt_token_count=self.max_prompt_token_count,
            )
        older_token_count = sum(estimated_token_count(len(message.content)) for message in older)
        return Prompt(
            ids=self.prefix_ids + fitted.ids + self.tail_ids,
            prefix_token_count=len(self.prefix_ids),
            dropped_message_count=fitted.dropped_message_count + len(older),
            dropped_token_count=fitted.dropped_token_count + older_token_count,
        )


class PromptCompiler:
    """Compiles policy sets for one checkpoint. Immutable."""

    def __init__(
        self,
        prompt_format: PromptFormat,
        tokenizer: Tokenizer,
        *,
        max_prompt_token_count: int,
        max_message_count: int | None = None,
    ) -> None:
        """Check that the bundle's parts fit together, which takes a few dozen short tokenisations.

        Args:
            prompt_format: The bundle's prompt.
            tokenizer: The bundle's tokenizer.
            max_prompt_token_count: Tokens the model reads at most, > 0.
            max_message_count: The newest messages it reads, >= 2; None reads all.

        Raises:
            PromptTemplateError: When tokenising in pieces would give other tokens than tokenising the whole, the end
                token is not one token, or plain text can spell it.
        """
        self._format = prompt_format
        self._tokenizer = tokenizer
        self._max_prompt_token_count = max_prompt_token_count
        self._max_message_count = max_message_count
        self._end_id = _end_id(tokenizer, prompt_format.end_token)
        for probe in _SEAM_PROBES:
            check_seams(tokenizer, _probe_segments(prompt_format, probe))
        self._tail_ids = prompt_format.tail.encode(tokenizer)

    def compile(self, policy_set: PolicySet) -> CompiledPrompt:
        """Do what is needed once per policy-set revision.

        Args:
            policy_set: A valid set.

        Returns:
            The compiled prompt. O(total characters of ids and descriptions).

        Raises:
            PromptTooLongError: When the policies leave no room for a message of `MIN_MESSAGE_TOKENS`.
            PolicySetInvalidError: When the tokenizer cannot tell two ids apart.
        """
        answer_form = (policy_set, self._format.skeleton, self._tokenizer, self._end_id)
        compiled = CompiledPrompt(
            policy_set_revision=policy_set.revision,
            prefix_ids=self._prefix_ids(policy_set.routes),
            tail_ids=self._tail_ids,
            trie=CandidateTrie.of(candidate_sequences(*answer_form), longer_sequences(*answer_form)),
            vocab_size=self._tokenizer.vocab_size,
            max_prompt_token_count=self._max_prompt_token_count,
            max_message_count=self._max_message_count,
            encode_message=self._encode_message,
        )
        needed = len(self._encode_message(Message(Role.USER, ELISION_MARKER), last=True)) + MIN_MESSAGE_TOKENS
        if compiled.max_conversation_token_count < needed:
            raise PromptTooLongError(
                prompt_token_count=self._max_prompt_token_count - compiled.max_conversation_token_count + needed,
                max_prompt_token_count=self._max_prompt_token_count,
            )
        if any(route.examples or route.not_examples for route in policy_set.routes):
            budget = int(EXAMPLE_SHARE * (compiled.max_conversation_token_count - needed))
            routes = with_examples(policy_set.routes, self._count_tokens, budget)
            compiled = replace(compiled, prefix_ids=self._prefix_ids(routes))
        return compiled

    def _prefix_ids(self, routes: Sequence[RoutePolicy]) -> TokenIds:
        segments = self._format.prefix(routes)
        return tuple(chain.from_iterable(segment.encode(self._tokenizer) for segment in segments))

    def _count_tokens(self, text: str) -> int:
        """Count the tokens of a text that a policy file holds, and that may be no text to a tokenizer."""
        written = self._format.dialect.written(text)
        return len(self._tokenizer.encode_text(written.encode(errors="replace").decode()))

    def _encode_message(self, message: Message, *, last: bool) -> TokenIds:
        return self._format.message(message, last=last).encode(self._tokenizer)


def _end_id(tokenizer: Tokenizer, end_token: str) -> int:
    ids = tokenizer.encode_template(end_token)
    if len(ids) != 1:
        msg = f"the end token {end_token!r} is {len(ids)} tokens; name the control token that ends the model's turn"
        raise PromptTemplateError(msg)
    if ids[0] in tokenizer.encode_text(end_token):
        msg = f"plain text can spell the end token {end_token!r}; the tokenizer must not look for added tokens in it"
        raise PromptTemplateError(msg)
    return ids[0]


def _probe_segments(prompt_format: PromptFormat, probe: str) -> tuple[Segment, ...]:
    """Write a prompt with its answer in which every seam has the probe beside it."""
    route = RoutePolicy(id=probe, domain="", action="", description=probe, models=())
    messages = (Message(Role.USER, probe), Message(Role.ASSISTANT, probe), Message(Role.USER, probe))
    return (
        *prompt_format.segments((route, route), messages),
        Segment(prompt_format.skeleton.render(probe), is_template=False),
        Segment(prompt_format.end_token, is_template=True),
    )
