"""What endpoints send back, in all its forms."""

import json

import pytest
from data.drafting.answers import IntentList, PolicyReview

from archrouter.workbench.chat_completions import (
    AnswerFault,
    UnusableAnswerError,
    Usage,
    read_answer,
    read_content,
    read_usage,
)


def body(message: object = None, finish_reason: str | None = "stop", **more: object) -> str:
    """Write a chat completion."""
    choice = {"message": message or {"content": "text"}, "finish_reason": finish_reason}
    return json.dumps({"choices": [choice], **more})


def test_content_is_the_first_choice_whatever_else_is_there() -> None:
    """Members that other servers add are no reason to pay again."""
    assert "text" == read_content(
        body({"content": "text", "tool_calls": None, "reasoning": "…"}, system_fingerprint="x")
    )
    assert "" == read_content(body({"content": None}))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", AnswerFault.ENVELOPE),
        ("<html>", AnswerFault.ENVELOPE),
        ('{"choices": []}', AnswerFault.ENVELOPE),
        ('{"choices": [{"message": {"content": 7}}]}', AnswerFault.ENVELOPE),
        (body({"content": None, "refusal": "no"}), AnswerFault.REFUSAL),
        (body(finish_reason="content_filter"), AnswerFault.REFUSAL),
        (body(finish_reason="length"), AnswerFault.CUT_OFF),
    ],
)
def test_unusable_envelope_says_which_kind_it_is(text: str, fault: AnswerFault) -> None:
    """Each way of not answering is counted as what it is."""
    with pytest.raises(UnusableAnswerError) as raised:
        read_content(text)

    assert fault is raised.value.fault


def test_usage_is_read_even_from_an_answer_that_cannot_be_used() -> None:
    """It was paid for all the same."""
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}

    assert Usage(prompt_tokens=3, completion_tokens=4) == read_usage(json.dumps({"choices": [], "usage": usage}))
    assert read_usage(body()) is None
    assert read_usage(body(usage=None)) is None
    assert read_usage(body(usage={"prompt_tokens": -1, "completion_tokens": 0})) is None


@pytest.mark.parametrize(
    "content",
    [
        '{"intents": ["a ``` b"]}',
        '  \n{"intents": ["a ``` b"]}\n',
        '```json\n{"intents": ["a ``` b"]}\n```',
        '```\n{"intents": ["a ``` b"]}\n```\nDone.',
        'Here it is:\n{"intents": ["a ``` b"]} I hope {it} helps.',
        '<think>{"intents": []}</think>\n{"intents": ["a ``` b"]}',
    ],
)
def test_object_is_found_wherever_models_put_it(content: str) -> None:
    """Fences, thoughts and kind words around the object do not cost another call."""
    assert ["a ``` b"] == read_answer(content, IntentList).intents


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", AnswerFault.NOT_JSON),
        ("no object at all", AnswerFault.NOT_JSON),
        ('{"intents":' + "[" * 100_000, AnswerFault.NOT_JSON),
        ('{"intents": ["a"', AnswerFault.NOT_JSON),
        ('{"intents": "a"}', AnswerFault.WRONG_SCHEMA),
        ('{"intents": [1]}', AnswerFault.WRONG_SCHEMA),
        ('{"intents": ["a"], "more": 1}', AnswerFault.WRONG_SCHEMA),
        ("{}", AnswerFault.WRONG_SCHEMA),
    ],
)
def test_unusable_answer_says_which_kind_it_is(content: str, fault: AnswerFault) -> None:
    """Neither guessing nor mending: what is not the object asked for is asked for again."""
    with pytest.raises(UnusableAnswerError) as raised:
        read_answer(content, IntentList)

    assert fault is raised.value.fault


def test_problem_tells_the_model_where_it_went_wrong() -> None:
    """The text goes back to the model, so it names the member; it does not repeat what the model wrote."""
    content = '{"verdicts": [{"action": "secret words", "verdict": "maybe", "description": "", "problem": ""}]}'

    with pytest.raises(UnusableAnswerError) as raised:
        read_answer(content, PolicyReview)

    assert "verdicts.0.verdict: Input should be 'accept', 'refine' or 'reject'" == str(raised.value)
