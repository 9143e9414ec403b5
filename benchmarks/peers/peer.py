"""What a peer is, and how it is measured."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from archrouter.domain.conversation import Message
from archrouter.domain.policy import PolicySet
from archrouter.evaluation.dataset import Dataset
from archrouter.evaluation.metrics import Latency, Metrics, latency, measure
from archrouter.evaluation.turns import ScoredTurn, scored_turn


@dataclass(frozen=True, slots=True)
class Choice:
    """What a peer decided.

    Attributes:
        route: Id of a route, or ``other``.
        confidence: Its own confidence, in [0, 1].
    """

    route: str
    confidence: float


class Decider(Protocol):
    """A peer that is set up for one policy set."""

    def decide(self, messages: Sequence[Message]) -> Choice:
        """Decide on the latest user message of a conversation."""
        ...


class Peer(Protocol):
    """A way to route."""

    @property
    def name(self) -> str:
        """What the table calls it."""
        ...

    @property
    def seen(self) -> str:
        """What it was given of the training sources."""
        ...

    def set_up(self, policy_set: PolicySet) -> Decider:
        """Get ready for a policy set; not timed."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """One row of the table.

    Attributes:
        name: Of the peer.
        seen: What it was given of the training sources.
        metrics: Its accuracy.
        latency: Time of one decision, one at a time.
        transport: What the time includes.
    """

    name: str
    seen: str
    metrics: Metrics
    latency: Latency
    transport: str


def run_peer(peer: Peer, dataset: Dataset, on_turn: Callable[[], None]) -> Result:
    """Let a peer decide on every labelled turn.

    Args:
        peer: Which.
        dataset: At least one labelled turn.
        on_turn: Called after each.

    Returns:
        Its row.
    """
    turns: list[ScoredTurn] = []
    durations_s: list[float] = []
    deciders: dict[str, Decider] = {}
    for conversation in dataset.conversations:
        name = conversation.policy_set
        if name not in deciders:
            deciders[name] = peer.set_up(dataset.policy_sets[name])
        for label in conversation.labels:
            messages = conversation.prefix(label)
            started_s = time.perf_counter()
            choice = deciders[name].decide(messages)
            durations_s.append(time.perf_counter() - started_s)
            turns.append(scored_turn(dataset, conversation, label, choice.route, choice.confidence))
            on_turn()
    timed = latency(durations_s)
    if timed is None:
        msg = "the folder has no labelled turn"
        raise ValueError(msg)
    return Result(peer.name, peer.seen, measure(turns), timed, "in process")
