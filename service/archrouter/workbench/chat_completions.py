"""What endpoints with OpenAI's chat completions answer: the envelope, the JSON object inside, their errors."""

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

AnswerT = TypeVar("AnswerT", bound=BaseModel)

_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_SHOWN_PROBLEMS = 3
_SHOWN_CHARACTERS = 200


class AnswerFault(StrEnum):
    """Why an answer cannot be used."""

    ENVELOPE = "envelope"
    REFUSAL = "refusal"
    CUT_OFF = "cut_off"
    NOT_JSON = "not_json"
    WRONG_SCHEMA = "wrong_schema"
    BROKEN_RULE = "broken_rule"


class UnusableAnswerError(Exception):
    """A paid answer is not what was asked for."""

    def __init__(self, fault: AnswerFault, problem: str) -> None:
        """Keep the fault for the counters and the problem for the model that is asked again."""
        super().__init__(problem)
        self.fault = fault


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


def error_reason(body: str) -> str:
    """Quote the message of an error object in brackets; empty for other bodies, which are pages for people."""
    try:
        message = json.loads(body)["error"]["message"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return f" ({str(message)[:_SHOWN_CHARACTERS]})"


def retry_after_s(value: str) -> float | None:
    """Read a Retry-After header: seconds, or a date (RFC 9110, section 10.2.3)."""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(tz=UTC)).total_seconds())
