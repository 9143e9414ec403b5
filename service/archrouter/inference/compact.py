"""The model ``compact_router``: one call, scores for every candidate."""

import contextlib
import json
import time
from dataclasses import replace

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
        outputs = await self._connection.infer(self._model, inputs, tensors.COMPACT_ROUTER.outputs, timeout_s=timeout_s)
        inference_s = time.perf_counter() - started_s
        scores = output_array(outputs, tensors.SCORES, (len(request.policy_set.routes) + 1,), np.float32)
        dropped_message_count = int(output_array(outputs, tensors.DROPPED_MESSAGE_COUNT, (1,), np.int32)[0])
        dropped_token_count = int(output_array(outputs, tensors.DROPPED_TOKEN_COUNT, (1,), np.int32)[0])
        usage = Usage(
            prompt_token_count=int(output_array(outputs, tensors.PROMPT_TOKEN_COUNT, (1,), np.int32)[0]),
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
        )

    def _inline_candidates(self, policy_set: PolicySet) -> NamedArray:
        known = self._candidates.get(policy_set)
        return known if known is not None else self._candidates.put(policy_set, _candidates(policy_set))


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
