"""Decisions that go into a decision log."""

import threading
from collections import Counter as Tally
from pathlib import Path

from tests.support.fake_backend import FAKE_PROFILE
from tests.support.fakes import make_set

from archrouter.application.select_route import Decision, DecisionTimes, SelectRoute
from archrouter.decision_log.files import LineFile
from archrouter.domain.conversation import Message, Role
from archrouter.domain.decision import (
    Candidate,
    CandidateKind,
    DecisionReason,
    DecisionRule,
    Outcome,
    Stickiness,
    TurnKind,
)
from archrouter.domain.scoring import Usage
from archrouter.domain.warnings import DecisionWarning, WarningCode

POLICY_SET = make_set("support", description="never to be logged")
CARD = "my card is 4929 0000"
QUESTION = SelectRoute(
    "id-1",
    (Message(Role.ASSISTANT, "Hi\u2028"), Message(Role.USER, CARD)),
    rule=DecisionRule(0.5, stickiness=Stickiness("coding", TurnKind.TOOL_RESULT, 0.25)),
)
DECISION = Decision(
    decision_id="id-1",
    outcome=Outcome.MATCHED,
    route=POLICY_SET.routes[0],
    models=POLICY_SET.routes[0].models,
    confidence=0.75,
    candidates=(
        Candidate(CandidateKind.ROUTE, "coding", 0.75, -0.25, exact=True),
        Candidate(CandidateKind.NO_MATCH, "", 0.25, float("-inf"), exact=False),
    ),
    policy_set=POLICY_SET,
    inline=False,
    profile=FAKE_PROFILE,
    kept=True,
    reasons=(DecisionReason.KEPT_FOR_TOOL_RESULT,),
    warnings=(DecisionWarning(WarningCode.POLICY_SET_STALE, "stale"),),
    usage=Usage(10, 2, 3, 4, 7),
    times=DecisionTimes(total_s=1.5, tokenize_s=0.25, queue_s=0.125, inference_s=1.0),
    rule=QUESTION.rule,
)


class HeldFile(LineFile):
    """A file whose writes wait until they are let through, and fail while told to."""

    def __init__(self, path: Path) -> None:
        """Start open and healthy."""
        super().__init__(path, max_bytes=1 << 20, kept_files=1)
        self.open = threading.Event()
        self.open.set()
        self.failure: OSError | None = None

    def write(self, line: bytes) -> None:
        """Wait, then write or fail."""
        assert self.open.wait(10)
        if self.failure is not None:
            raise self.failure
        super().write(line)


class Tallies:
    """Counts results as the metric does."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.counts: Tally[str] = Tally()

    def __call__(self, result: str) -> "_Tally":
        """Give the counter of a result."""
        return _Tally(self.counts, result)


class _Tally:
    def __init__(self, counts: "Tally[str]", result: str) -> None:
        self._counts = counts
        self._result = result

    def inc(self) -> None:
        """Count one."""
        self._counts[self._result] += 1
