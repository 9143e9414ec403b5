"""What the models must answer: one type per question, strict about names and types.

Bounds on lengths and counts are rules of the question, not of these types: structured outputs take only a subset of
JSON Schema, and bounds are where endpoints differ most.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class ProposedPolicy(_Answer):
    """A route policy as first written."""

    action: str = Field(description="snake_case; empty for the policy that covers the whole domain")
    description: str


class PolicyProposal(_Answer):
    """Policies of one domain."""

    policies: list[ProposedPolicy]


class PolicyVerdict(_Answer):
    """What a reviewer says of one policy."""

    action: str = Field(description="which policy, exactly as given")
    verdict: Literal["accept", "refine", "reject"]
    description: str = Field(description="the better wording when the verdict is refine, otherwise empty")
    problem: str = Field(description="what is wrong when the verdict is not accept, otherwise empty")


class PolicyReview(_Answer):
    """A verdict on every policy."""

    verdicts: list[PolicyVerdict]


class IntentList(_Answer):
    """Conversational intents, each a sentence or two about a person and what they want."""

    intents: list[str]


class DialogueTurn(_Answer):
    """What the user says, which route that is, and what the assistant replies."""

    user: str
    route: str = Field(description="name of the route of this user message, or other")
    assistant: str


class WrittenDialogue(_Answer):
    """A whole conversation."""

    turns: list[DialogueTurn]


class TurnLabel(_Answer):
    """A reader's label of one user message."""

    message: int = Field(description="the number in front of the user message")
    route: str = Field(description="name of a route, or other")


class DialogueReading(_Answer):
    """What a reader who has not seen the writer's labels makes of a conversation."""

    labels: list[TurnLabel]
    coherent: bool = Field(description="whether the conversation could have happened")
    problem: str = Field(description="what does not fit when it is not coherent, otherwise empty")
