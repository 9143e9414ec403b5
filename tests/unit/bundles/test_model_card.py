"""The prompt out of a model card: parsed, never run."""

from textwrap import dedent

import pytest
from tests.support.model_cards import LICENSE_NAME, published_card

from archrouter.bundles.model_card import ModelCardError, license_of, prompt_template_of

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
        (("```", "    ```"), "TASK_INSTRUCTION and FORMAT_PROMPT"),
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


@pytest.mark.parametrize("quote", ['"""', "'''"])
@pytest.mark.parametrize("fence", ["```", "````", "``````", "~~~", "~~~~"])
def test_the_prompt_is_found_whatever_fences_and_quotes_it(fence: str, quote: str) -> None:
    """Every fence of CommonMark counts, also one of four backticks, which the published card has."""
    card = published_card("\nPick {routes} for {conversation}\n", "\nAnswer.\n", fence=fence, quote=quote)

    assert "\nPick {routes} for {conversation}\n\nAnswer.\n" == prompt_template_of(card)


def test_a_shorter_fence_inside_a_longer_one_does_not_end_it() -> None:
    """Code that shows Markdown may hold a fence itself."""
    card = published_card("{routes}\n```\n{conversation}", "Answer.")

    assert "{routes}\n```\n{conversation}Answer." == prompt_template_of(card)


def test_literals_that_stand_side_by_side_are_one() -> None:
    """Python joins them when it parses, so nothing has to be run."""
    card = '````python\nTASK_INSTRUCTION = ("{routes} "\n    "{conversation}")\nFORMAT_PROMPT = "a" \'b\'\n````\n'

    assert "{routes} {conversation}ab" == prompt_template_of(card)


@pytest.mark.parametrize(
    "assignment",
    [
        'TASK_INSTRUCTION = "{routes} " + "{conver" + "sation}"',
        'TASK_INSTRUCTION: str = "{routes} {conversation}"',
        'TASK_INSTRUCTION = SHOWN = "{routes} {conversation}"',
    ],
)
def test_a_literal_may_be_joined_annotated_or_assigned_to_several_names(assignment: str) -> None:
    """All of these are plain text that can be read off the syntax tree."""
    card = f'~~~py\n{assignment}\nFORMAT_PROMPT = "."\n~~~\n'

    assert "{routes} {conversation}." == prompt_template_of(card)


@pytest.mark.parametrize("prefix", ["> ", "  "])
def test_code_inside_a_quotation_or_an_indented_fence_is_found(prefix: str) -> None:
    """A fence counts wherever CommonMark sees one."""
    lines = ["````python", 'TASK_INSTRUCTION = "{routes}{conversation}"', 'FORMAT_PROMPT = "."', "````"]

    assert "{routes}{conversation}." == prompt_template_of("".join(f"{prefix}{line}\n" for line in lines))


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        pytest.param(published_card("", ""), LICENSE_NAME, id="published"),
        pytest.param("---\nlicense: apache-2.0\n---\n# A\n", "apache-2.0", id="plain"),
        pytest.param("---\nlicense: mit\nlicense_name: other words\n---\n", "mit", id="name-beside-a-known-one"),
        pytest.param("---\nlicense: other\n---\n", "other", id="other-without-a-name"),
        pytest.param("---\ntags: [a]\n---\n", "unknown", id="none"),
        pytest.param("---\nlicense: [unclosed\n---\n", "unknown", id="no-yaml"),
        pytest.param("---\nlicense: mit\n", "unknown", id="no-end"),
        pytest.param("---\nlicense: [mit, apache-2.0]\n---\n", "mit, apache-2.0", id="several"),
        pytest.param("---\nlicense: [other]\nlicense_name: ours\n---\n", "ours", id="other-in-a-list"),
        pytest.param("---\nlicense: no\ndate: 2026-13-45\n---\n", "no", id="words-that-look-like-other-types"),
        pytest.param("---\nlicense: mit\nnote: a --- b\n---\n", "mit", id="dashes-inside"),
        pytest.param("---\nlicense: {a: b}\n---\n", "unknown", id="a-mapping"),
        pytest.param("---\nlicense:\n---\n", "unknown", id="no-value"),
        pytest.param("# A\n", "unknown", id="no-front-matter"),
    ],
)
def test_the_licence_is_the_one_the_front_matter_names(card: str, expected: str) -> None:
    """Where it is ``other``, its name says more."""
    assert expected == license_of(card)
