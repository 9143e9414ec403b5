"""A backend without a model, for unit and contract tests only: deterministic, and able to fail on demand."""

import re

import numpy as np

from archrouter.domain.conversation import Role
from archrouter.domain.errors import ArchRouterError
from archrouter.domain.policy import PolicySet, RoutePolicy
from archrouter.domain.posterior import Calibration, posterior_from_scores
from archrouter.domain.scoring import BackendProfile, Scoring, ScoringRequest, StageTimes, Tier, Usage

FAKE_PROFILE = BackendProfile(
    tier=Tier.COMPACT,
    model_version="sha256:" + "0" * 64,
    tokenizer_digest="sha256:" + "1" * 64,
    prompt_template_version="",
    max_prompt_token_count=256,
    calibration=Calibration(temperature=1.0, sample_count=1),
)

_WORDS = re.compile(r"\w+")
_LOGIT_PER_SHARED_WORD = 3.0
_NO_MATCH_LOGIT = 1.5


class FakeBackend:
    """`Model` that counts the words a route shares with the latest user message.

    Attributes:
        profile: What it says of itself.
        failure: Raised by the next calls of `score` and `warm_up` while it is not None.
        ready: What `is_ready` answers.
        requests: Every scored request, in order.
        prepare_failure: Raised by the next calls of `prepare` while it is not None.
        prepared: Ids of every prepared policy set, in order.
        released: Ids of every released policy set, in order.
    """

    def __init__(self, profile: BackendProfile = FAKE_PROFILE) -> None:
        """Start healthy."""
        self.profile = profile
        self.failure: ArchRouterError | None = None
        self.prepare_failure: Exception | None = None
        self.ready: bool | None = True
        self.requests: list[ScoringRequest] = []
        self.prepared: list[str] = []
        self.released: list[str] = []

    async def warm_up(self, *, timeout_s: float) -> BackendProfile:
        """Return the profile, or fail as told."""
        del timeout_s
        if self.failure is not None:
            raise self.failure
        return self.profile

    async def is_ready(self, *, timeout_s: float) -> bool | None:
        """Answer as told."""
        del timeout_s
        return self.ready

    async def prepare(self, policy_set: PolicySet) -> None:
        """Remember the set, or fail as told."""
        if self.prepare_failure is not None:
            raise self.prepare_failure
        self.prepared.append(policy_set.id)

    def release(self, policy_set: PolicySet) -> None:
        """Remember the set."""
        self.released.append(policy_set.id)

    async def score(self, request: ScoringRequest, *, timeout_s: float) -> Scoring:
        """Score by shared words, or fail as told."""
        del timeout_s
        if self.failure is not None:
            raise self.failure
        self.requests.append(request)
        users = [m.content for m in request.conversation.messages if m.role is Role.USER]
        words = _words(users[-1])
        logits = [_LOGIT_PER_SHARED_WORD * len(words & _route_words(r)) for r in request.policy_set.routes]
        scores = np.array([*logits, _NO_MATCH_LOGIT], dtype=np.float32)
        usage = Usage(prompt_token_count=len(words), engine_call_count=1)
        return Scoring(posterior_from_scores(scores), self.profile, usage, StageTimes())

    async def reconnect(self) -> None:
        """Do nothing: there is no connection."""

    async def close(self) -> None:
        """Do nothing: there is no connection."""


def _route_words(route: RoutePolicy) -> frozenset[str]:
    return _words(f"{route.id.replace('_', ' ')} {route.description}")


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORDS.findall(text.lower()))
