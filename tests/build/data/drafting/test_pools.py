"""The topic pool, the styles, and draws from them."""

from collections import Counter
from pathlib import Path

import pytest
from data.drafting.errors import SetupError
from data.drafting.settings import AmountSettings
from data.drafting.styles import Style, draw_style, read_styles
from data.drafting.topics import draw_topics, read_topics


def test_topic_pool_has_three_kinds_of_sources() -> None:
    """Industries, subjects and APIs, as in the paper; enough of each for a broad draw."""
    kinds = Counter(topic.kind for topic in read_topics())

    assert {"industry", "subject of study", "family of APIs"} == set(kinds)
    assert min(kinds.values()) >= 40


def test_draw_mixes_the_kinds_and_grows_without_changing() -> None:
    """A larger draw keeps the smaller one, so that more data never makes what exists worthless."""
    pool = read_topics()
    six, nine = draw_topics(pool, 6, seed=1), draw_topics(pool, 9, seed=1)

    assert six == nine[:6]
    assert {2} == set(Counter(topic.kind for topic in six).values())
    assert six != draw_topics(pool, 6, seed=2)
    assert set(pool) == set(draw_topics(pool, len(pool), seed=1))


def test_draw_larger_than_the_pool_is_refused() -> None:
    """The message says how many there are."""
    pool = read_topics()

    with pytest.raises(SetupError, match=f"the pool has {len(pool)}"):
        draw_topics(pool, len(pool) + 1, seed=1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kinds = 3", "is no topic pool"),
        ('[[kinds]]\nkind = "a"\ntopics = {}', "is no topic pool"),
        ('[[kinds]]\nkind = "a"\ntopics = {Shop = "x"}', "'Shop' occurs twice or is not snake_case"),
        ('[[kinds]]\nkind = "a"\ntopics = {s = "x"}\n[[kinds]]\nkind = "b"\ntopics = {s = "y"}', "'s' occurs twice"),
    ],
)
def test_broken_pool_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    """A pool of one's own is checked before anything is asked."""
    path = tmp_path / "topics.toml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(SetupError, match=problem):
        read_topics(path)


def test_styles_cover_every_length_that_can_be_asked_for() -> None:
    """Whatever range the settings allow, some style fits even a dialogue that keeps to one route."""
    styles = read_styles()

    for length in range(1, 7):
        amounts = AmountSettings(min_user_turns=length, max_user_turns=length)
        draw = draw_style(styles, amounts, "item", may_change_route=False)
        assert (length, False) == (draw.user_turn_count, draw.style.changes_route)


def test_draw_depends_on_seed_and_item_only() -> None:
    """A dialogue keeps its style whatever else is drawn."""
    styles = read_styles()

    def draw(seed: int, item: str) -> object:
        return draw_style(styles, AmountSettings(seed=seed), item, may_change_route=True)

    assert draw(1, "a") == draw(1, "a")
    assert 1 < len({str(draw(seed, item)) for seed in range(3) for item in "abc"})


def test_drawn_lengths_keep_to_style_and_settings() -> None:
    """A bare question never becomes a long talk, and the settings bound everything."""
    styles = read_styles()
    amounts = AmountSettings(min_user_turns=2, max_user_turns=3)

    for number in range(200):
        draw = draw_style(styles, amounts, f"item-{number}", may_change_route=True)
        assert max(2, draw.style.min_user_turns) <= draw.user_turn_count <= min(3, draw.style.max_user_turns)


def test_range_that_no_style_has_is_an_error() -> None:
    """The settings and the styles must meet somewhere."""
    style = Style("one", "text", 1, 1, 1)

    with pytest.raises(SetupError, match="no style has 2 to 2 user turns"):
        draw_style((style,), AmountSettings(min_user_turns=2, max_user_turns=2), "item", may_change_route=False)
