"""router.json: the limits, cues and fitted scalars of the compact router, read strictly."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

CANDIDATE_FEATURES = (
    "latest",
    "latest_in_context",
    "latest_short_in_context",
    "exchange",
    "exchange_short",
    "history",
    "history_short",
)
NO_MATCH_FEATURES = (
    "bias",
    "in_context",
    "short_in_context",
    "log_candidate_count",
    "courtesy",
    "courtesy_in_context",
    "continuing_in_context",
    "other_topics",
    "other_topics_in_context",
)


_SMALLEST = 1e-6
"""Stands for "above 0": with a weight of 0 a history of one message would have no direction."""


class ParametersError(ValueError):
    """router.json cannot be used; the text names the key."""


@dataclass(frozen=True, slots=True)
class WindowLimits:
    """How much of a conversation is read, in tokens without special ones.

    Attributes:
        latest_token_limit: Of the latest user message, and of the exchange; the encoder reads 256 with special tokens.
        earlier_message_token_limit: Of each earlier message, at most half of ``latest_token_limit``.
        history_token_limit: Of all earlier messages together.
        history_message_limit: Earlier messages, newest first.
    """

    latest_token_limit: int
    earlier_message_token_limit: int
    history_token_limit: int
    history_message_limit: int

    def __post_init__(self) -> None:
        """Refuse limits under which a window could be empty or overflow the encoder."""
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not int or value < 1:
                msg = f"router.json: window.{field.name} is {value!r}; write an integer of at least 1"
                raise ParametersError(msg)
        if self.earlier_message_token_limit > min(self.latest_token_limit // 2, self.history_token_limit):
            msg = (
                f"router.json: window.earlier_message_token_limit is {self.earlier_message_token_limit}; it must be "
                "at most half of latest_token_limit and at most history_token_limit"
            )
            raise ParametersError(msg)

    @property
    def max_token_count(self) -> int:
        """Most tokens of one conversation that can be read."""
        return self.latest_token_limit + self.history_token_limit


@dataclass(frozen=True, slots=True)
class ContextShape:
    """How context is weighted before any fitted weight.

    Attributes:
        short_turn_token_scale: The shortness of a latest message of n tokens is exp(-n / scale); > 0.
        history_decay: Weight of a message one user turn older, in (0, 1].
        assistant_share: Weight of an assistant message in the history against a user message of its age, in (0, 1].
    """

    short_turn_token_scale: float
    history_decay: float
    assistant_share: float


@dataclass(frozen=True, slots=True)
class CueSentences:
    """Sentences whose likeness to a message says something about it, whatever the routes are.

    Attributes:
        courtesy: A greeting, thanks, a farewell or a refusal: nothing is asked for.
        continuing: The user goes on with what was proposed.
        topics: A broad sample of what people ask assistants for: a request that is as close to these as to the
            candidates belongs to none of the candidates.
    """

    courtesy: tuple[str, ...]
    continuing: tuple[str, ...]
    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Weights:
    """Fitted scalars.

    Attributes:
        candidate: One per name in ``CANDIDATE_FEATURES``.
        no_match: One per name in ``NO_MATCH_FEATURES``.
    """

    candidate: tuple[float, ...]
    no_match: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class RouterParameters:
    """Everything in router.json that scoring needs; its key ``calibration`` is the service's, by way of config.pbtxt.

    Attributes:
        window: How much is read.
        context: How context is weighted.
        cues: Sentences to compare with.
        weights: Fitted scalars.
    """

    window: WindowLimits
    context: ContextShape
    cues: CueSentences
    weights: Weights


def read_parameters(path: Path) -> RouterParameters:
    """Read router.json.

    Args:
        path: The file.

    Returns:
        The parameters.

    Raises:
        ParametersError: When a key is missing or unknown, or a value is of the wrong type or out of range.
    """
    document = json.loads(path.read_text(encoding="utf-8"))
    _keys("", document, ("window", "context", "cues", "weights", "calibration"))
    window, context, cues, weights = (document[name] for name in ("window", "context", "cues", "weights"))
    _keys("window", window, [field.name for field in fields(WindowLimits)])
    _keys("context", context, [field.name for field in fields(ContextShape)])
    _keys("cues", cues, [field.name for field in fields(CueSentences)])
    _keys("weights", weights, [field.name for field in fields(Weights)])
    return RouterParameters(
        window=WindowLimits(**window),
        context=ContextShape(
            short_turn_token_scale=_number("context.short_turn_token_scale", context, low=_SMALLEST),
            history_decay=_number("context.history_decay", context, low=_SMALLEST, high=1.0),
            assistant_share=_number("context.assistant_share", context, low=_SMALLEST, high=1.0),
        ),
        cues=CueSentences(**{name: _sentences(f"cues.{name}", sentences) for name, sentences in cues.items()}),
        weights=Weights(
            candidate=_weights("weights.candidate", weights["candidate"], CANDIDATE_FEATURES),
            no_match=_weights("weights.no_match", weights["no_match"], NO_MATCH_FEATURES),
        ),
    )


JsonObject = Mapping[str, Any]  # Any: JSON whose types are being checked


def _keys(where: str, value: object, names: "tuple[str, ...] | list[str]") -> None:
    if not isinstance(value, dict) or set(value) != set(names):
        found = sorted(value) if isinstance(value, dict) else type(value).__name__
        msg = f"router.json: {where or 'the document'} must be an object with exactly {sorted(names)}, not {found}"
        raise ParametersError(msg)


def _number(where: str, values: JsonObject, *, low: float = -math.inf, high: float = math.inf) -> float:
    value = values[where.rpartition(".")[2]]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        msg = f"router.json: {where} is {value!r}; write a number from {low} to {high}"
        raise ParametersError(msg)
    return float(value)


def _sentences(where: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) and item for item in value):
        msg = f"router.json: {where} must be a list of at least one sentence"
        raise ParametersError(msg)
    return tuple(value)


def _weights(where: str, value: object, names: tuple[str, ...]) -> tuple[float, ...]:
    _keys(where, value, names)
    values: JsonObject = value  # type: ignore[assignment]  # _keys has just checked it
    return tuple(_number(f"{where}.{name}", values) for name in names)
