"""How large a request may be. The numbers come from the configuration; nothing here has a default."""

from collections.abc import Sequence
from dataclasses import dataclass

from archrouter.domain.conversation import Message, Role
from archrouter.domain.errors import InvalidRequestError
from archrouter.domain.findings import Finding, Severity


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Limits of one request, each >= 1.

    Attributes:
        max_messages: Messages of one conversation.
        max_message_characters: Characters of one message.
        max_batch_size: Items of one batch.
        max_inline_routes: Routes of an inline policy set.
    """

    max_messages: int
    max_message_characters: int
    max_batch_size: int
    max_inline_routes: int

    def check_messages(self, messages: Sequence[Message]) -> None:
        """Refuse a conversation nobody can route.

        Args:
            messages: All messages of the request, oldest first.

        Raises:
            InvalidRequestError: With every finding at once.
        """
        findings = tuple(self._message_findings(messages))
        if findings:
            raise InvalidRequestError(findings)

    def count_findings(self, message_count: int, inline_route_count: int = 0) -> list[Finding]:
        """Say which list of a request is too long, before anybody walks over it.

        Args:
            message_count: Messages of the conversation.
            inline_route_count: Routes of the inline policy set; 0 where there is none.

        Returns:
            A finding for each list whose length is out of bounds.
        """
        findings = []
        if not 1 <= message_count <= self.max_messages:
            text = f"{message_count} messages; send 1 to {self.max_messages} (limits.max_messages)"
            findings.append(Finding(Severity.ERROR, "messages", text))
        if inline_route_count > self.max_inline_routes:
            text = (
                f"{inline_route_count} routes exceed {self.max_inline_routes} (limits.max_inline_routes); "
                "load the policy set on the server instead"
            )
            findings.append(Finding(Severity.ERROR, "routes", text))
        return findings

    def _message_findings(self, messages: Sequence[Message]) -> list[Finding]:
        miscounted = self.count_findings(len(messages))
        if miscounted:
            return miscounted
        findings = [
            Finding(
                Severity.ERROR,
                f"messages[{index}].content",
                f"{len(message.content)} characters exceed {self.max_message_characters} "
                "(limits.max_message_characters); shorten the message",
            )
            for index, message in enumerate(messages)
            if len(message.content) > self.max_message_characters
        ]
        user_texts = [message.content for message in messages if message.role is Role.USER]
        if not any(text.strip() for text in user_texts):
            text = "no user message with text; the route follows the latest user message, so send one"
            findings.append(Finding(Severity.ERROR, "messages", text))
        return findings
