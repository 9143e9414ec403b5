"""The endpoint's answer: its envelope, and the JSON object inside."""

import json
import re
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.drafting.errors import AnswerFault, UnusableAnswerError

AnswerT = TypeVar("AnswerT", bound=BaseModel)

_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_SHOWN_PROBLEMS = 3


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class Usage(BaseModel):
    """Tokens of one call, as the endpoint counts them."""

    model_config = ConfigDict(frozen=True)

    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)


class _Completion(BaseModel):
    """The part of an OpenAI chat completion that counts here; everything else may be there."""

    choices: list[_Choice] = Field(min_length=1)


class _Accounted(BaseModel):
    usage: Usage


def read_usage(body: str) -> Usage | None:
    """Read what a call used, whether or not its answer is usable; None when the endpoint does not say."""
    try:
        return _Accounted.model_validate_json(body).usage
    except ValidationError:
        return None


def read_content(body: str) -> str:
    """Take the model's text out of the envelope.

    Raises:
        UnusableAnswerError: When the envelope is broken, or the model refused or was cut off.
    """
    try:
        choice = _Completion.model_validate_json(body).choices[0]
    except ValidationError as error:
        raise UnusableAnswerError(AnswerFault.ENVELOPE, "the answer did not arrive in one piece") from error
    if choice.message.refusal or choice.finish_reason == "content_filter":
        raise UnusableAnswerError(AnswerFault.REFUSAL, "the request was declined; keep everything harmless")
    if choice.finish_reason == "length":
        raise UnusableAnswerError(AnswerFault.CUT_OFF, "the answer was longer than allowed; write less")
    return choice.message.content or ""


def read_answer(content: str, answer_type: type[AnswerT]) -> AnswerT:
    """Read the JSON object in a model's text; it may stand in a code fence, after thoughts, or between other words.

    Raises:
        UnusableAnswerError: When there is none, or it is not of the type asked for.
    """
    try:
        return answer_type.model_validate_json(_json_part(content), strict=True)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        if problems[0]["type"] == "json_invalid":
            raise UnusableAnswerError(AnswerFault.NOT_JSON, "it is not one JSON object") from error
        text = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'the object'}: {item['msg']}" for item in problems[:_SHOWN_PROBLEMS]
        )
        raise UnusableAnswerError(AnswerFault.WRONG_SCHEMA, text) from error


def _json_part(content: str) -> str:
    """Cut out the first object; where it does not end, the validation says so."""
    text = _THOUGHTS.sub("", content)
    text = text[max(0, text.find("{")) :]
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return text
    return text[:end]
