"""How the network is trained."""

from dataclasses import dataclass

from compact_model.parameters import WindowLimits

LIMITS = WindowLimits(
    latest_token_limit=192,
    previous_message_token_limit=48,
    older_message_token_limit=24,
    earlier_token_limit=112,
    earlier_message_limit=8,
    candidate_token_limit=96,
)
"""What the network reads, in training and when it serves: longer conversations cost more than they tell."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast to train.

    Attributes:
        encoder: Sentence encoder to start from, ``minilm``, ``bge`` or ``e5``.
        trained_layers: Uppermost layers of it that are trained.
        seed: Of torch and of all that is drawn.
        steps: Optimiser steps.
        views: Policy sets drawn for each step, by all processes together.
        turns: Turns drawn for each policy set.
        encoder_rate: Peak learning rate of the encoder's upper layers.
        reader_rate: Of the reader, and of what is new in the encoder.
        weight_decay: Of both.
        warm_up: Share of the steps in which the rates rise to their peak, before they fall to 0 in a line.
        cosine_weight: Of a second loss on the cosines alone, which keeps the encoder's vectors meaningful.
        rival_weight: Of the loss of each head that is trained only to be compared.
        gradient_norm: Longest gradient that is not shortened.
    """

    encoder: str = "minilm"
    trained_layers: int = 3
    seed: int = 1
    steps: int = 1500
    views: int = 4
    turns: int = 12
    encoder_rate: float = 1e-4
    reader_rate: float = 5e-4
    weight_decay: float = 0.01
    warm_up: float = 0.05
    cosine_weight: float = 0.3
    rival_weight: float = 0.3
    gradient_norm: float = 1.0

    def rate_share(self, step: int) -> float:
        """Give the learning rate of a step, counted from 0, as a share of its peak, in (0, 1]."""
        rising = max(1, round(self.warm_up * self.steps))
        return min((step + 1) / rising, (self.steps - step) / max(1, self.steps - rising))
