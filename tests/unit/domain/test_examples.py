"""Examples in a language model's prompt: after the description, within tokens of their own."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.prompts import FORMATS, BytePairTokenizer, make_routes

from archrouter.domain.dialect import Dialect
from archrouter.domain.examples import with_examples
from archrouter.domain.policy import MAX_EXAMPLES, PolicySet, RoutePolicy
from archrouter.domain.prompt import PromptCompiler

LARGE = 10**6
CODE = RoutePolicy("code", "", "", "Writing code", ())


def words(text: str) -> int:
    """Count words in place of tokens."""
    return len(text.split())


def descriptions(*routes: RoutePolicy, budget: int = LARGE) -> list[str]:
    """Write the examples of routes into their descriptions."""
    return [route.description for route in with_examples(routes, words, budget)]


def test_examples_continue_the_description() -> None:
    """Whole texts in quotes, white space as one space, what is meant before what is not."""
    route = replace(CODE, examples=("write a script", "a  class\nfor me"), not_examples=("write a poem",))

    assert ['Writing code. For example: "write a script"; "a class for me". But not: "write a poem".'] == descriptions(
        route
    )


@pytest.mark.parametrize(
    ("description", "expected"),
    [("", ""), ("Writing code.", "Writing code. "), ("写代码。", "写代码。 "), ("Code?", "Code? ")],
)
def test_examples_follow_a_sentence_or_stand_alone(description: str, expected: str) -> None:
    """No full stop is doubled and none stands at the beginning."""
    route = replace(CODE, description=description, examples=("write a script",))

    assert [f'{expected}For example: "write a script".'] == descriptions(route)


def test_routes_without_examples_are_the_same_objects() -> None:
    """Nothing changes where nobody wrote any."""
    assert (CODE,) == with_examples((CODE,), words, LARGE)


def test_every_route_gets_its_first_example_before_any_gets_its_second() -> None:
    """A route late in the file is not left without; what does not fit is left out whole, and shorter ones still fit."""
    first = replace(CODE, examples=("a b", "c d"), not_examples=("e f",))
    second = replace(CODE, id="text", examples=("g h", "i " * 50, "j"))

    # The first text of its kind costs two more, for its words: here eight; a later one of one word five.
    assert [
        'Writing code. For example: "a b". But not: "e f".',
        'Writing code. For example: "g h"; "j".',
    ] == descriptions(first, second, budget=8 * 3 + 5)


def test_without_room_there_are_no_examples() -> None:
    """The policies themselves come first."""
    assert ["Writing code"] == descriptions(replace(CODE, examples=("write a script",)), budget=0)


def told(policy_set: PolicySet, texts: tuple[str, ...]) -> PolicySet:
    """Give every route of a set the same examples."""
    return replace(policy_set, routes=tuple(replace(route, examples=texts) for route in policy_set.routes))


@pytest.mark.parametrize("dialect", Dialect)
def test_the_prompt_of_a_set_with_examples_holds_them_and_one_without_is_the_same_as_ever(
    dialect: Dialect, tokenizer: BytePairTokenizer
) -> None:
    """They stand in the record of their route, in the JSON of the dialect."""
    plain = make_routes(("code", "Writing code"))
    compiler = PromptCompiler(FORMATS[dialect], tokenizer, max_prompt_token_count=4096)

    prompt = tokenizer.decode(compiler.compile(told(plain, ("write a script",))).prefix_ids)
    without = tokenizer.decode(compiler.compile(plain).prefix_ids)

    addition = '. For example: \\"write a script\\".'
    assert addition in prompt
    assert without == prompt.replace(addition, "")


@settings(max_examples=25)
@given(texts=st.lists(st.text(min_size=1, max_size=200), min_size=1, max_size=MAX_EXAMPLES, unique=True))
def test_examples_leave_three_quarters_of_the_room_to_the_conversation(
    texts: list[str], tokenizer: BytePairTokenizer
) -> None:
    """Whatever authors write, no set is refused for its examples, nor does a conversation lose its place."""
    plain = make_routes(("code", "Writing code"), ("review", "Judging code"), ("翻译", "翻译文本"))
    for dialect, prompt_format in FORMATS.items():
        compiler = PromptCompiler(prompt_format, tokenizer, max_prompt_token_count=1024)

        room = [compiler.compile(each).max_conversation_token_count for each in (plain, told(plain, tuple(texts)))]

        assert room[1] >= 0.75 * room[0], dialect
