"""The prompt's text: slots, tags, golden bytes."""

import json
import runpy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.prompts import FORMATS, GOLDEN

from archrouter.domain.answer import AnswerSkeleton, Quoting
from archrouter.domain.conversation import Message, Role
from archrouter.domain.dialect import Dialect
from archrouter.domain.errors import ArchRouterError, PromptTemplateError
from archrouter.domain.policy import RoutePolicy
from archrouter.domain.template import PromptFormat, PromptTemplate

GOLDEN_CASES = json.loads((GOLDEN / "cases.json").read_text(encoding="utf-8"))


def make_format(text: str, dialect: Dialect = Dialect.CARD) -> PromptFormat:
    """Make a format whose chat template is two words."""
    return PromptFormat(PromptTemplate.parse(text), dialect, "HEAD ", " TAIL", "<end>")


def render(prompt_format: PromptFormat, description: str, content: str) -> str:
    """Write the whole prompt of one route and one message."""
    route = RoutePolicy("r", "", "", description, ())
    return "".join(segment.text for segment in prompt_format.segments([route], [Message(Role.USER, content)]))


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("case", GOLDEN_CASES)
def test_prompt_has_the_golden_bytes(case: str, dialect: Dialect) -> None:
    """Every byte of the prompt equals what `json.dumps` and `str.replace` make of the same template."""
    routes = [RoutePolicy(name, "", "", text, ()) for name, text in GOLDEN_CASES[case]["routes"]]
    messages = [Message(Role(role), text) for role, text in GOLDEN_CASES[case]["messages"]]

    actual = "".join(segment.text for segment in FORMATS[dialect].segments(routes, messages))

    assert (GOLDEN / f"{case}.{dialect.value}.txt").read_bytes() == actual.encode()


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("case", GOLDEN_CASES)
def test_golden_bytes_are_what_their_generator_writes(case: str, dialect: Dialect) -> None:
    """Nobody edited a golden file by hand."""
    text = runpy.run_path(str(GOLDEN / "generate.py"))["golden"](dialect.value, GOLDEN_CASES[case])

    assert text.encode() == (GOLDEN / f"{case}.{dialect.value}.txt").read_bytes()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{routes}", r"holds \{conversation\} 0 times"),
        ("{conversation}", r"holds \{routes\} 0 times"),
        ("{routes}{routes}{conversation}", r"holds \{routes\} 2 times"),
        ("{routes}{conversation}{conversation}", r"holds \{conversation\} 2 times"),
        ("{conversation}{routes}", "put the routes first"),
    ],
)
def test_template_without_both_slots_in_order_is_refused(text: str, problem: str) -> None:
    """A template that cannot hold the prompt is refused when it is read, as a domain error."""
    with pytest.raises(PromptTemplateError, match=problem) as caught:
        PromptTemplate.parse(text)

    assert isinstance(caught.value, ArchRouterError)


def test_slots_in_untrusted_text_are_not_expanded() -> None:
    """Templating is one pass: a description that spells the other slot stays what it is."""
    text = render(make_format("A {routes} B {conversation} C"), "{conversation}", "{routes} {conversation}")

    assert (
        'HEAD A [{"name": "r", "description": "{conversation}"}] B '
        '[{"role": "user", "content": "{routes} {conversation}"}] C TAIL'
    ) == text


@given(st.text(alphabet="{}routesconversation \n", max_size=40), st.text(alphabet="{}routes \n", max_size=40))
def test_template_text_around_the_slots_is_kept_byte_by_byte(before: str, after: str) -> None:
    """Braces, white space and line breaks of the template come out as they went in."""
    text = f"{before}|{{routes}}{after}\n\n {{conversation}}\r\n{after}"
    if text.count("{routes}") + text.count("{conversation}") != 2:
        return

    rendered = render(make_format(text), "d", "c")

    assert text.replace("{routes}", '[{"name": "r", "description": "d"}]').replace(
        "{conversation}", '[{"role": "user", "content": "c"}]'
    ) == rendered.removeprefix("HEAD ").removesuffix(" TAIL")


def test_tags_of_the_template_are_found() -> None:
    """The names to guard come from the template itself; control tokens and comparisons are no tags."""
    template = PromptTemplate.parse("<|x|> a < b <routes>{routes}</routes> <chat.log >{conversation}</ chat.log> <1>")

    assert frozenset({"routes", "chat.log"}) == template.tag_names


def test_template_without_tags_leaves_all_text_alone() -> None:
    """A template that marks its sections otherwise has nothing to guard."""
    text = render(make_format("{routes}\n{conversation}"), "</conversation>", "</routes>")

    assert "</conversation>" in text
    assert "</routes>" in text


def test_version_changes_with_everything_that_decides_a_prompt() -> None:
    """Two prompts share a version only if they are the same prompt."""
    text = "{routes}\n{conversation}"
    template = PromptTemplate.parse(text)
    variants = [
        make_format(text),
        make_format(text + "\n"),
        make_format(text, Dialect.GATEWAY),
        PromptFormat(template, Dialect.CARD, "HEAD", " TAIL", "<end>"),
        PromptFormat(template, Dialect.CARD, "HEAD ", "TAIL", "<end>"),
        PromptFormat(template, Dialect.CARD, "HEAD ", " TAIL", "<stop>"),
        PromptFormat(template, Dialect.CARD, "HEAD ", " TAIL", "<end>", AnswerSkeleton(quoting=Quoting.PYTHON)),
    ]

    assert len(variants) == len({each.version for each in variants})
    assert make_format(text).version == variants[0].version
    assert variants[0].version.startswith("sha256:")
