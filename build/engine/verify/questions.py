"""Labelled conversations, in the format of ``archrouter eval``, as questions to an endpoint."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from archrouter.bundles.loader import PromptBundle
from archrouter.domain.conversation import Conversation
from archrouter.domain.errors import PolicySetInvalidError, PromptTooLongError
from archrouter.domain.policy import PolicySet
from archrouter.domain.scoring import ScoringRequest
from archrouter.evaluation.dataset import Dataset, Label, LabelledConversation
from archrouter.evaluation.journal import question_digest

GOLDEN = Path(__file__).with_name("golden_v1")
"""Conversations of our own; a changed set gets a new name."""


@dataclass(frozen=True, slots=True)
class Question:
    """One labelled turn: the conversation up to it, and the candidates."""

    source: LabelledConversation
    label: Label
    policy_set: PolicySet

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.source.id} turn {self.label.turn}"

    @property
    def request(self) -> ScoringRequest:
        """What the endpoint is asked."""
        return ScoringRequest(self.policy_set, Conversation.from_messages(self.source.prefix(self.label)))


def questions_of(dataset: Dataset) -> tuple[Question, ...]:
    """List every labelled turn."""
    return tuple(
        Question(conversation, label, dataset.policy_sets[conversation.policy_set])
        for conversation in dataset.conversations
        for label in conversation.labels
    )


def split_by_fit(
    questions: tuple[Question, ...], bundle: PromptBundle
) -> tuple[tuple[Question, ...], tuple[Question, ...]]:
    """Set aside the questions whose policies a model cannot take."""
    fits: dict[str, bool] = {}
    for policy_set in (question.policy_set for question in questions):
        if policy_set.revision not in fits:
            with suppress(PromptTooLongError, PolicySetInvalidError):
                bundle.compiler.compile(policy_set)
                fits[policy_set.revision] = True
            fits.setdefault(policy_set.revision, False)
    kept = tuple(question for question in questions if fits[question.policy_set.revision])
    return kept, tuple(question for question in questions if not fits[question.policy_set.revision])


def digest_of(questions: tuple[Question, ...]) -> str:
    """Name labelled data by its content."""
    digest = hashlib.sha256()
    for question in questions:
        asked = question_digest(question.source, question.label, question.policy_set)
        digest.update(f"{asked} {question.label.route}\n".encode())
    return "sha256:" + digest.hexdigest()
