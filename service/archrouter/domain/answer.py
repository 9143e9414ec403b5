"""What the model answers for each candidate, as text and as tokens."""

import json
from dataclasses import dataclass
from enum import Enum

from archrouter.domain.errors import PolicySetInvalidError
from archrouter.domain.findings import error_at
from archrouter.domain.policy import NO_MATCH_ID, PolicySet
from archrouter.domain.tokens import TokenIds, Tokenizer

LIST_SEPARATOR = ", "
"""Between the elements of a list, in Python and in the JSON that the weights were trained on."""


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
    with single quotes. Its successor answers a list, ``{"route": ["<name>", "<name>"]}``, empty where nothing fits
    (katanemo/plano, ``orchestrator_model_v1.rs``); the first name is the one that is used.

    Attributes:
        prefix: Text before the quoted id, or before the ids of a list.
        suffix: Text after it, or after them.
        quoting: How an id is written.
        is_list: Whether the answer is a list of ids, its bracket in prefix and suffix.
    """

    prefix: str = '{"route": '
    suffix: str = "}"
    quoting: Quoting = Quoting.JSON_ASCII
    is_list: bool = False

    def render(self, route_id: str) -> str:
        """Write the whole answer for one candidate: what the model would generate before its end token.

        Of a list it is the one with this route alone, or the empty one.
        """
        if self.is_list and route_id == NO_MATCH_ID:
            return self.prefix + self.suffix
        return f"{self.prefix}{self.quoting.quote(route_id)}{self.suffix}"

    def render_longer(self, route_id: str) -> str:
        """Write a list that begins with one route and goes on.

        What it goes on with makes no difference to where it leaves the list that ends there.

        Args:
            route_id: Id of a route.

        Returns:
            The list with the route twice.
        """
        quoted = self.quoting.quote(route_id)
        return f"{self.prefix}{quoted}{LIST_SEPARATOR}{quoted}{self.suffix}"


LIST_ANSWER = AnswerSkeleton('{"route": [', "]}", Quoting.JSON_UTF8, is_list=True)
"""What the successor's prompt asks for."""


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
            findings.append(error_at(f"routes[{index}].id", text))
        owners.setdefault(sequence, route.id)
    if findings:
        raise PolicySetInvalidError(tuple(findings))
    return sequences


def longer_sequences(
    policy_set: PolicySet, skeleton: AnswerSkeleton, tokenizer: Tokenizer, end_id: int
) -> tuple[TokenIds, ...]:
    """Tokenise, for every route, a list that begins with it and goes on.

    Args:
        policy_set: N routes.
        skeleton: Form of the answer.
        tokenizer: The checkpoint's tokenizer.
        end_id: Id of the token that ends the model's turn.

    Returns:
        N sequences in policy order; none where the answer is no list. O(total characters).
    """
    if not skeleton.is_list:
        return ()
    texts = (skeleton.render_longer(route.id) for route in policy_set.routes)
    return tuple((*tokenizer.encode_text(text), end_id) for text in texts)
