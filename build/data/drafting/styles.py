"""Styles of conversation: without them every dialogue of a model sounds the same."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from random import Random

from data.drafting.errors import SetupError
from data.drafting.settings import AmountSettings

POOL = Path(__file__).with_name("styles.toml")


@dataclass(frozen=True, slots=True)
class Style:
    """How a conversation goes.

    Attributes:
        id: Its name, for the record.
        text: What the writer is told.
        weight: How often it is drawn, relative to the others.
        min_user_turns: Fewest user messages it makes sense with.
        max_user_turns: Most.
        changes_route: Whether the user also asks for something that another route covers.
    """

    id: str
    text: str
    weight: int
    min_user_turns: int
    max_user_turns: int
    changes_route: bool = False


@dataclass(frozen=True, slots=True)
class StyleDraw:
    """The style of one dialogue.

    Attributes:
        style: The style.
        user_turn_count: User messages to write.
    """

    style: Style
    user_turn_count: int


def read_styles(path: Path = POOL) -> tuple[Style, ...]:
    """Read the styles in the order of the file."""
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    return tuple(Style(id=style_id, **fields) for style_id, fields in document.items())


def draw_style(styles: tuple[Style, ...], amounts: AmountSettings, item: str, *, may_change_route: bool) -> StyleDraw:
    """Draw the style of one dialogue; the draw depends on nothing but ``item`` and the seed.

    Raises:
        SetupError: When no style has a length that is wanted.
    """
    fitting = [
        style
        for style in styles
        if style.min_user_turns <= amounts.max_user_turns
        and style.max_user_turns >= amounts.min_user_turns
        and (may_change_route or not style.changes_route)
    ]
    if not fitting:
        msg = f"no style has {amounts.min_user_turns} to {amounts.max_user_turns} user turns; widen the range"
        raise SetupError(msg)
    random = Random(f"{amounts.seed}/style/{item}")  # noqa: S311  # reproducible data, not a secret
    style = random.choices(fitting, [style.weight for style in fitting])[0]
    fewest = max(style.min_user_turns, amounts.min_user_turns)
    return StyleDraw(style, random.randint(fewest, min(style.max_user_turns, amounts.max_user_turns)))
