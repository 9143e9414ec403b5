"""What the application needs from the outside world. Each port has a real and a test implementation."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from archrouter.application.select_route import Decision, SelectRoute
from archrouter.domain.findings import Finding
from archrouter.domain.policy import PolicySet
from archrouter.domain.scoring import Scoring, ScoringRequest

StartStep = Callable[[str], AbstractContextManager[object]]
"""Marks a step of a decision, by its name, for as long as it takes; `nullcontext` marks nothing."""


class ScoringBackend(Protocol):
    """What scores the candidates of a policy set against a conversation: a model, or several behind one face."""

    async def prepare(self, policy_set: PolicySet) -> None:
        """Do what is needed once per policy set, so that the first decision is as fast as the next.

        What was made is kept until `release`.

        Args:
            policy_set: A valid set that is going to be served.

        Raises:
            ArchRouterError: When the set cannot be served, e.g. because its policies alone exceed the model's budget.
        """
        ...

    def release(self, policy_set: PolicySet) -> None:
        """Forget what `prepare` made for a set that is no longer served; does nothing for any other."""
        ...

    async def score(self, request: ScoringRequest, *, timeout_s: float) -> Scoring:
        """Score the candidates.

        Args:
            request: What to score; its policy set is valid, but need not have been prepared.
            timeout_s: Time for the answer, > 0.

        Returns:
            Posterior, facts and costs.

        Raises:
            PromptTooLongError: When the conversation may not be truncated and is too long.
            UnavailableError: When the inference server or the model does not answer.
            BudgetExceededError: When ``timeout_s`` ran out.
            OverloadedError: When the inference server's queue is full.
            BackendProtocolError: When the answer breaks the tensor contract.
        """
        ...


@dataclass(frozen=True, slots=True)
class SourcedPolicySet:
    """A valid policy set and where it came from.

    Attributes:
        source: Name of the file, for people.
        policy_set: The set.
        text: What the file says.
    """

    source: str
    policy_set: PolicySet
    text: str = ""


@dataclass(frozen=True, slots=True)
class RejectedSource:
    """A source that holds no usable policy set.

    Attributes:
        source: Name of the file, for people.
        findings: Why; at least one error.
    """

    source: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class PolicyLoad:
    """Everything one look at the policy source gave.

    Attributes:
        accepted: Usable sets; their ids are unique.
        rejected: Sources that hold none.
        complete: False when the source as a whole could not be read, so that a missing set has not been removed.
    """

    accepted: tuple[SourcedPolicySet, ...]
    rejected: tuple[RejectedSource, ...]
    complete: bool = True


class PolicySource(Protocol):
    """Where policy sets are kept."""

    def load(self) -> PolicyLoad:
        """Read everything anew.

        Returns:
            Usable sets, and the sources that hold none. Never raises for bad content.
        """
        ...


class PolicyMemory(Protocol):
    """Where the last good text of each source outlives the process."""

    def recall(self) -> tuple[SourcedPolicySet, ...]:
        """Return what was kept last, as far as it is a usable set still; never raises."""
        ...

    def keep(self, accepted: tuple[SourcedPolicySet, ...], sources: AbstractSet[str]) -> None:
        """Keep the texts of `accepted`, and of all that was kept before only those of `sources`; never raises."""
        ...


class DecisionRecorder(Protocol):
    """Who keeps decisions for later."""

    def record(self, question: SelectRoute, decision: Decision, *, caller: str, correlation_id: str) -> None:
        """Keep a decision. Never waits and never raises: no call may suffer from it.

        Args:
            question: What was asked.
            decision: What was answered.
            caller: Who asked; empty where nobody has to say.
            correlation_id: The caller's own id of the call; may be empty.
        """
        ...


class Clock(Protocol):
    """Time, so that tests need none."""

    def now(self) -> datetime:
        """Return the wall-clock time, in UTC."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds that never run backwards; only differences mean anything."""
        ...
