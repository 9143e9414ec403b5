"""router.json: how much of a conversation is read, checked strictly."""

import json
from dataclasses import dataclass, fields
from pathlib import Path

REFERENCE = "calibration_reference"
"""What the service sees drift by; a model that was calibrated before there was any is without."""


class ParametersError(ValueError):
    """router.json cannot be used; the text names the key."""


@dataclass(frozen=True, slots=True)
class WindowLimits:
    """How much is read, in tokens without special ones.

    Attributes:
        latest_token_limit: Of the latest user message.
        previous_message_token_limit: Of the message right before it.
        older_message_token_limit: Of each message before that one.
        earlier_token_limit: Of all messages before the latest user message together.
        earlier_message_limit: Messages before the latest user message, newest first.
        candidate_token_limit: Of a candidate's text.
    """

    latest_token_limit: int
    previous_message_token_limit: int
    older_message_token_limit: int
    earlier_token_limit: int
    earlier_message_limit: int
    candidate_token_limit: int

    def __post_init__(self) -> None:
        """Refuse limits that read nothing, or that contradict each other."""
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not int or value < 1:
                msg = f"router.json: window.{field.name} is {value!r}; write an integer of at least 1"
                raise ParametersError(msg)
        longest = max(self.previous_message_token_limit, self.older_message_token_limit)
        if longest > self.earlier_token_limit:
            msg = (
                f"router.json: window.earlier_token_limit is {self.earlier_token_limit}; it must be at least "
                f"{longest}, what is read of one message, or a long one would leave no context at all"
            )
            raise ParametersError(msg)

    @property
    def max_token_count(self) -> int:
        """Most tokens of one conversation that can be read."""
        return self.latest_token_limit + self.earlier_token_limit


def read_parameters(path: Path) -> WindowLimits:
    """Read router.json; what else is in it is the service's, by way of config.pbtxt.

    Args:
        path: The file.

    Returns:
        The limits.

    Raises:
        ParametersError: When a key is missing or unknown, or a value is of the wrong type or out of range.
    """
    document = json.loads(path.read_text(encoding="utf-8"))
    optional = (REFERENCE,) if isinstance(document, dict) and REFERENCE in document else ()
    _check_keys("the document", document, ("window", "calibration", *optional))
    window = document["window"]
    _check_keys("window", window, tuple(field.name for field in fields(WindowLimits)))
    return WindowLimits(**window)


def _check_keys(where: str, value: object, names: tuple[str, ...]) -> None:
    if not isinstance(value, dict) or set(value) != set(names):
        found = sorted(value) if isinstance(value, dict) else type(value).__name__
        msg = f"router.json: {where} must be an object with exactly {sorted(names)}, not {found}"
        raise ParametersError(msg)
