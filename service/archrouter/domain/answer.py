"""What the model answers for each candidate, as text and as tokens."""

import json
from dataclasses import dataclass
from enum import Enum

from archrouter.domain.errors import PolicySetInvalidError
from archrouter.domain.findings import Finding, Severity
from archrouter.domain.policy import NO_MATCH_ID, PolicySet
from archrouter.domain.tokens import TokenIds, Tokenizer


class Quoting(Enum):
    """How the answer writes the route id, quotes included."""

    JSON_ASCII = "json_ascii"
    """A JSON string, everything outside ASCII escaped."""

    JSON_UTF8 = "json_utf8"
    """A JSON string, UTF-8 kept."""

    PYTHON = "python"
    """A Python literal: single quotes, or double ones around an id that holds an apostrophe and no double quote."""

    def quote(self, route_id: str) -> str:
        """Write an id, which may be any text, as a literal with its quotes."""
        if self is Quoting.PYTHON:
            return repr(route_id)
        return json.dumps(route_id, ensure_ascii=self is Quoting.JSON_ASCII)


@dataclass(frozen=True, slots=True)
class AnswerSkeleton:
    """The form of the answer, as measured on the weights when their bundle is built.

    Arch-Router was trained to answer ``{"route": "<name>"}`` (paper, section 4.2); weights in the wild also answer
    with single quotes.

    Attributes:
        prefix: Text before the quoted id.
        suffix: Text after it.
        quoting: How the id is written.
    """

    prefix: str = '{"route": '
    suffix: str = "}"
    quoting: Quoting = Quoting.JSON_ASCII

    def render(self, route_id: str) -> str:
        """Write the whole answer for one candidate: what the model would generate before its end token."""
        return f"{self.prefix}{self.quoting.quote(route_id)}{self.suffix}"


def candidate_sequences(
    policy_set: PolicySet, skeleton: AnswerSkeleton, tokenizer: Tokenizer, end_id: int
) -> tuple[TokenIds, ...]:
    """Tokenise the answer of every candidate.

    The end token closes each sequence. It never occurs inside one, because ids are plain text to the tokenizer; so no
    sequence is the beginning of another.

    Args:
        policy_set: N routes.
        skeleton: Form of the answer.
        tokenizer: The checkpoint's tokenizer.
        end_id: Id of the token that ends the model's turn.

    Returns:
        N + 1 different sequences: the routes in policy order, then ``other``. O(total characters).

    Raises:
        PolicySetInvalidError: When the tokenizer cannot tell two ids apart (its normaliser makes them equal).
    """
    ids = [*(route.id for route in policy_set.routes), NO_MATCH_ID]
    sequences = tuple((*tokenizer.encode_text(skeleton.render(route_id)), end_id) for route_id in ids)
    owners = {sequences[-1]: NO_MATCH_ID}
    findings = []
    for index, (route, sequence) in enumerate(zip(policy_set.routes, sequences, strict=False)):
        if sequence in owners:
            text = f"{route.id!r} is the same to the model's tokenizer as {owners[sequence]!r}; choose another id"
            findings.append(Finding(Severity.ERROR, f"routes[{index}].id", text))
        owners.setdefault(sequence, route.id)
    if findings:
        raise PolicySetInvalidError(tuple(findings))
    return sequences
