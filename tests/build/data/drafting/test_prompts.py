"""The prompts: versions that mean something, and a single pass."""

from pathlib import Path

import pytest
from data.drafting.answers import IntentList, WrittenDialogue
from data.drafting.prompts import PromptLibrary
from jinja2 import UndefinedError

# A changed prompt is another prompt: give its file the next number, and add a line here.
REFERENCES = {
    "answer_format": "1 e5e5c6e4057a",
    "correction": "1 7650d4022e11",
    "label_dialogue": "1 61986f98ad57",
    "propose_policies": "1 ff99ebf60de7",
    "review_policies": "1 ad40161b6714",
    "write_dialogue": "1 e6df90388783",
    "write_intents": "1 53a1fa506e71",
    "write_uncovered_intents": "1 35b02f34031d",
}


def test_committed_prompts_have_the_texts_of_their_versions() -> None:
    """Records name prompts by version, so the text of a version never changes."""
    assert REFERENCES == PromptLibrary().references


def test_newest_version_is_used(tmp_path: Path) -> None:
    """Version 10 comes after version 9."""
    for version in (9, 10, 1):
        (tmp_path / f"ask-{version}.jinja").write_text(f"system {version}\n---\nuser {version}\n", encoding="utf-8")

    library = PromptLibrary(tmp_path)

    assert ("system 10", "user 10") == (library.render("ask").system, library.render("ask").user)
    assert library.references["ask"].startswith("10 ")


def test_values_are_filled_in_once(tmp_path: Path) -> None:
    """Text that looks like a template, a separator or markup is text."""
    (tmp_path / "ask-1.jinja").write_text("system\n---\n{{ text }} {{ texts | json }}", encoding="utf-8")
    text = "{{ secret }} {% raw %}\n---\n<b>&"

    prompt = PromptLibrary(tmp_path).render("ask", text=text, texts=["ä<", '"'])

    assert "system" == prompt.system
    assert f'{text} ["ä<", "\\""]' == prompt.user


def test_missing_value_is_an_error(tmp_path: Path) -> None:
    """A prompt never goes out with a hole in it."""
    (tmp_path / "ask-1.jinja").write_text("system\n---\n{{ text }}", encoding="utf-8")

    with pytest.raises(UndefinedError):
        PromptLibrary(tmp_path).render("ask")


def test_answer_format_names_every_member() -> None:
    """An endpoint without structured outputs learns the schema from the prompt alone."""
    library = PromptLibrary()

    assert '"required": ["intents"]' in library.answer_format(IntentList)
    assert '"required": ["user", "route", "assistant"]' in library.answer_format(WrittenDialogue)
    assert "What was wrong with it: too long" in library.correction("too long")


@pytest.mark.parametrize(("target", "present"), [("other", "No route covers this"), ("a_b", 'the route "a_b"')])
def test_dialogue_prompt_says_what_is_wanted(target: str, present: str) -> None:
    """The parts that depend on the order appear only where they belong."""
    prompt = PromptLibrary().render(
        "write_dialogue",
        routes=[],
        other="other",
        target=target,
        intent="INTENT",
        companion="",
        style="STYLE",
        user_turn_count=1,
        problem="",
    )

    assert present in prompt.user
    assert "exactly 1 user message, each" in prompt.user
    assert "turned down" not in prompt.user
    assert "In the course of" not in prompt.user
