"""Held-out examples of the tiny checkpoint, with what torch makes of them."""

from dataclasses import dataclass
from typing import Any

from archrouter.domain.conversation import Conversation, Message, Role
from archrouter.domain.policy import ModelTarget, PolicySet, RoutePolicy

MODELS = (ModelTarget("m"),)


@dataclass(frozen=True)
class Golden:
    """A held-out example of the tiny checkpoint, with what torch makes of it.

    Attributes:
        policy_set: Its routes.
        conversation: Its messages.
        prompt_ids: The prompt's tokens, as the training wrote them.
        candidates: By route id, ``other`` included: answer tokens and their log-probabilities over the vocabulary.
    """

    policy_set: PolicySet
    conversation: Conversation
    prompt_ids: tuple[int, ...]
    candidates: dict[str, Any]  # as in the file


def golden_of(record: dict[str, Any]) -> Golden:  # Any: JSON
    """Read one line of ``golden.jsonl``."""
    routes = tuple(RoutePolicy(r["name"], "", r["name"], r["description"], MODELS) for r in record["routes"])
    messages = tuple(Message(Role(m["role"]), m["content"]) for m in record["conversation"])
    return Golden(
        policy_set=PolicySet("golden", "", routes, MODELS),
        conversation=Conversation.from_messages(messages),
        prompt_ids=tuple(record["prompt_token_ids"]),
        candidates=record["candidates"],
    )
