"""What noise does to the text of a message."""

import pytest
from data.augment.drawing import seeded
from data.augment.noise import CASINGS, casing, mistyped, typos
from data.records import Record, Turn, assistant, granularity_of, make_route, user
from hypothesis import given
from hypothesis import strategies as st

ROUTES = (make_route("mail", "mail", "", "Questions about letters"), make_route("law", "law", "", "The law"))


def record(*turns: Turn) -> Record:
    """Make a record of a small policy set."""
    return Record("office/1", "office", granularity_of(ROUTES), "office", ROUTES, turns)


@given(word=st.text(alphabet="abcdefghijklmnopqrstuvwxyzäöüß", min_size=5, max_size=12), seed=st.integers(0, 999))
def test_a_typing_mistake_is_a_single_one_after_the_first_letter(word: str, seed: int) -> None:
    """At most one letter more or less, the first stays."""
    mistake = mistyped(word, seeded(seed))

    assert word[0] == mistake[0]
    assert abs(len(word) - len(mistake)) <= 1


def test_typing_mistakes_leave_code_and_other_scripts_alone() -> None:
    """Lines with signs of code stay, and so do words of scripts that are not typed letter by letter."""
    code = "for element in elements: print(element) # every element"
    talk = record(user(f"Please explain everything\n{code}\n请把下面这一段文字翻译成英文", "mail"))

    version = typos(talk, 1.0, seeded(1))

    assert version is not None
    first, *rest = version.turns[0].text.split("\n")
    assert first != "Please explain everything"
    assert [code, "请把下面这一段文字翻译成英文"] == rest


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("lower", "that's it, ok?"),
        ("upper", "THAT'S IT, OK?"),
        ("unpunctuated", "That's it, OK"),
        ("no_apostrophes", "Thats it, OK?"),
    ],
)
def test_a_line_is_written_in_each_casing(style: str, expected: str) -> None:
    """One change at a time."""
    assert expected == CASINGS[style]("That's it, OK?")


def test_a_message_is_never_emptied() -> None:
    """A message of nothing but punctuation stays as it is."""
    talk = record(user("???", "other"), assistant("Pardon?"), user("Fine.", "other"))

    for seed in range(20):
        version = casing(talk, seeded(seed))
        assert version is None or "???" == version.turns[0].text


def test_a_long_conversation_is_not_shouted() -> None:
    """People shout short messages."""
    talk = record(user("Word " * 40, "mail"))

    styles = {version.provenance.augmentations for seed in range(40) if (version := casing(talk, seeded(seed)))}

    assert {("casing:lower",)} == styles
