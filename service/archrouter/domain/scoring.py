"""What a backend is asked and what it answers, free of tensors and transport."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from archrouter.domain.conversation import Conversation
from archrouter.domain.decision import DecisionReason
from archrouter.domain.policy import PolicySet
from archrouter.domain.posterior import Calibration, Posterior

DECILE_COUNT = 10
"""Tenths that a reference divides the leading candidates' probabilities into."""

_TINY = float(np.finfo(np.float64).tiny)


class Tier(Enum):
    """Which kind of model decided."""

    ENGINE = "engine"
    COMPACT = "compact"


class Overflow(Enum):
    """What to do with a conversation that exceeds the model's token budget."""

    TRUNCATE = "truncate"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class CalibrationReference:
    """How a model answered the conversations that its calibration was fitted on: what drift is measured from.

    Attributes:
        top_probability_deciles: The nine values in [0, 1], rising, between tenths of the leading candidates'
            calibrated probabilities.
        no_match_share: Share in [0, 1] of conversations whose leading candidate was no match.
        mean_entropy: Mean in [0, 1] of the calibrated posterior's entropy, as a share of that of an even one.
    """

    top_probability_deciles: tuple[float, ...]
    no_match_share: float
    mean_entropy: float

    def __post_init__(self) -> None:
        """Refuse what no sample can give."""
        deciles = self.top_probability_deciles
        # Each condition is written so that NaN, which compares false, breaks it.
        if len(deciles) != DECILE_COUNT - 1 or not all(a <= b for a, b in pairwise((0.0, *deciles, 1.0))):
            msg = f"{len(deciles)} deciles of top probability; there must be {DECILE_COUNT - 1}, rising, in [0, 1]"
            raise ValueError(msg)
        if not (0 <= self.no_match_share <= 1 and 0 <= self.mean_entropy <= 1):
            msg = f"no-match share {self.no_match_share} and mean entropy {self.mean_entropy} must be in [0, 1]"
            raise ValueError(msg)

    @classmethod
    def of(cls, decisions: Sequence[NDArray[np.float64]]) -> "CalibrationReference":
        """Measure a sample.

        Args:
            decisions: Calibrated probabilities of each decision, float64 [C], C >= 2, no match last; at least one.

        Returns:
            What later decisions are held against.
        """
        deciles = np.quantile([one.max() for one in decisions], np.arange(1, DECILE_COUNT) / DECILE_COUNT)
        entropies = [-float((one * np.log(np.maximum(one, _TINY))).sum()) / math.log(one.size) for one in decisions]
        return cls(
            top_probability_deciles=tuple(float(np.clip(each, 0.0, 1.0)) for each in deciles),
            no_match_share=sum(int(one.argmax()) == one.size - 1 for one in decisions) / len(decisions),
            mean_entropy=min(max(sum(entropies) / len(entropies), 0.0), 1.0),
        )


@dataclass(frozen=True, slots=True)
class BackendProfile:
    """Facts about the model behind a backend, read from the inference server.

    Attributes:
        tier: Kind of model.
        model_version: Digest of the model's files, ``sha256:<64 hex digits>``.
        tokenizer_digest: Digest of the tokenizer, same form.
        prompt_template_version: Digest of the prompt template; empty for a model that reads no prompt.
        max_prompt_token_count: Tokens the model reads at most, > 0.
        calibration: What turns its posterior into probabilities.
        reference: How it answered when it was calibrated; None where nobody recorded that.
    """

    tier: Tier
    model_version: str
    tokenizer_digest: str
    prompt_template_version: str
    max_prompt_token_count: int
    calibration: Calibration = field(default_factory=Calibration)
    reference: CalibrationReference | None = None


@dataclass(frozen=True, slots=True)
class ScoringRequest:
    """One question to a backend.

    Attributes:
        policy_set: The candidates, in order.
        conversation: What they are matched against.
        overflow: What to do when the conversation is too long.
        only_tier: The tier that must answer, where a backend has two; None leaves it to the backend.
    """

    policy_set: PolicySet
    conversation: Conversation
    overflow: Overflow = Overflow.TRUNCATE
    only_tier: Tier | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What one decision cost, in counts >= 0.

    Attributes:
        prompt_token_count: Tokens the model was given.
        engine_call_count: Calls to the inference server.
        cached_token_count: Prompt tokens whose computation was reused.
        dropped_message_count: Messages left out because the conversation was too long.
        dropped_token_count: Tokens left out for the same reason.
    """

    prompt_token_count: int = 0
    engine_call_count: int = 0
    cached_token_count: int = 0
    dropped_message_count: int = 0
    dropped_token_count: int = 0


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Where a backend spent its time, in seconds >= 0.

    Attributes:
        tokenize_s: Turning text into the model's input.
        queue_s: Waiting in the inference server, where it reports it.
        inference_s: The rest of the inference calls.
    """

    tokenize_s: float = 0.0
    queue_s: float = 0.0
    inference_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Scoring:
    """A backend's answer.

    Attributes:
        posterior: Over the N routes in order and no match, [N + 1].
        profile: The model that answered.
        usage: What it cost.
        times: Where the time went.
        on_trie_mass: Share in [0, 1] of the model's next-token mass that fell on candidates; 1 for a model that can
            answer nothing else.
        longer_list_mass: Share in [0, 1] of the leading candidate's mass on answers that name further routes after it;
            0 for a model whose answers are no lists.
        reasons: Why this tier answered and no other; empty where there is only one.
    """

    posterior: Posterior
    profile: BackendProfile
    usage: Usage
    times: StageTimes
    on_trie_mass: float = 1.0
    longer_list_mass: float = 0.0
    reasons: tuple[DecisionReason, ...] = ()
