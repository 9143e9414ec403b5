"""The prompt out of a model card: parsed, never run."""

from textwrap import dedent

import pytest

from archrouter.adapters.bundle.model_card import ModelCardError, prompt_template_of

CARD = dedent('''\
    # A router

    ```python
    import os

    TASK_INSTRUCTION = """
    Pick. {{braces}} stay.
    <routes>{routes}</routes>
    <conversation>{conversation}</conversation>
    """

    FORMAT_PROMPT = """
    Answer: {"route": "name"}
    """

    os.environ["RAN"] = "yes"
    ```
    ''')


def test_the_two_literals_become_one_template_with_its_slots() -> None:
    """Format escapes of the first are undone; the second stands for itself."""
    expected = dedent("""\

        Pick. {braces} stay.
        <routes>{routes}</routes>
        <conversation>{conversation}</conversation>

        Answer: {"route": "name"}
        """)

    assert expected == prompt_template_of(CARD)


def test_code_of_the_card_is_never_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The block's other statements have no effect."""
    monkeypatch.delenv("RAN", raising=False)

    prompt_template_of(CARD)

    assert "RAN" not in __import__("os").environ


def test_blocks_that_do_not_parse_are_passed_over() -> None:
    """A card may sketch code elsewhere."""
    sketch = "```python\nmodel = ... load it\n```\n"

    assert prompt_template_of(CARD) == prompt_template_of(sketch + CARD)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("FORMAT_PROMPT", "OTHER"), "assigns FORMAT_PROMPT a string"),
        (("```python", "```text"), "TASK_INSTRUCTION and FORMAT_PROMPT"),
        (("{conversation}<", "<"), "needs"),
        (("{routes}", "{conversation}"), "needs"),
        (("{routes}", "{routes!r}"), "format specification"),
        (("{routes}", "{routes:>9}"), "format specification"),
        (("{{braces}}", "{braces"), "no format string"),
        (("{{braces}}", "{braces}"), "needs"),
        (('TASK_INSTRUCTION = """', 'TASK_INSTRUCTION = f"""'), "not a plain string"),
        (('FORMAT_PROMPT = """', 'FORMAT_PROMPT = print("ran") or """'), "not a plain string"),
    ],
)
def test_a_card_in_another_form_is_refused_with_the_remedy(change: tuple[str, str], message: str) -> None:
    """Nothing is guessed from a card that is not as expected."""
    with pytest.raises(ModelCardError, match=message):
        prompt_template_of(CARD.replace(*change))


def test_a_literal_given_twice_must_agree() -> None:
    """Two texts leave open which one the weights saw."""
    with pytest.raises(ModelCardError, match="FORMAT_PROMPT twice"):
        prompt_template_of(CARD + '\n```python\nFORMAT_PROMPT = "else"\n```\n')
