"""Verifying reference_lm in a real Triton: a healthy endpoint passes, each fault fails the check meant for it."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from engine.program import NeedsMoreError
from engine.verify.agreement import Oracle
from engine.verify.behaviour import check_cancellation, check_overload
from engine.verify.endpoint import Endpoint
from engine.verify.questions import Question
from engine.verify.report import Check, Thresholds, Verdict
from engine.verify.run import Verification, verify
from tests.support.fake_triton import (
    Context,
    bounded_executor,
    fake_triton,
    generated,
    never,
    row_of_logits,
    stubborn_executor,
)
from tritonclient.grpc import service_pb2

from archrouter.bundles.loader import PromptBundle
from archrouter.domain.tokens import TokenIds

MakeEndpoint = Callable[..., Endpoint]
PASS, FAIL, NOT_APPLICABLE = Verdict.PASS, Verdict.FAIL, Verdict.NOT_APPLICABLE
STRICT = Thresholds(min_route_agreement=1.0, max_probability_difference=1e-5, max_logit_difference=1e-3)
"""What float32 against float32 must reach."""


async def verified(endpoint: Endpoint, oracle: Oracle, questions: Sequence[Question]) -> dict[str, Check]:
    """Run every check, the overload with bursts that fill a queue of four."""
    checks = await verify(Verification(endpoint, oracle, questions, STRICT, overload_call_count=8))
    return {check.name: check for check in checks}


def verdicts(checks: dict[str, Check]) -> dict[str, Verdict]:
    """Keep the verdicts."""
    return {name: check.verdict for name, check in checks.items()}


async def test_a_healthy_endpoint_passes_every_check(
    make_endpoint: MakeEndpoint, variants_endpoint: str, oracle: Oracle, questions: tuple[Question, ...]
) -> None:
    """The same weights in two runtimes agree within 1e-5, and nothing is left out."""
    checks = await verified(make_endpoint(variants_endpoint, "healthy"), oracle, questions)

    assert 11 == len(checks)
    assert {PASS} == set(verdicts(checks).values()), checks
    assert len(questions) == checks["route_agreement"].figures["questions"]
    assert ["Triton's own queue"] == checks["queue_full_error"].figures["servers"]


async def test_an_endpoint_without_logits_says_how_to_build_it(
    make_endpoint: MakeEndpoint, variants_endpoint: str, oracle: Oracle, questions: tuple[Question, ...]
) -> None:
    """What needs logits does not apply; the rest is still checked."""
    checks = await verified(make_endpoint(variants_endpoint, "without_logits"), oracle, questions)

    assert FAIL is checks["logits"].verdict
    assert "gather_generation_logits must be enabled" in checks["logits"].measured
    assert "build the TensorRT engine with --gather_generation_logits" == checks["logits"].remedy
    assert [NOT_APPLICABLE] * 4 == [
        checks[name].verdict for name in ("prompt_tokens", "route_agreement", "probability_difference", "kv_reuse")
    ]
    assert [PASS, PASS] == [checks[name].verdict for name in ("prompt_limits", "overload")]


async def test_an_endpoint_of_another_bundle_is_not_asked_anything_else(
    make_endpoint: MakeEndpoint,
    variants_endpoint: str,
    oracle: Oracle,
    questions: tuple[Question, ...],
    bundle: PromptBundle,
) -> None:
    """Both versions are named."""
    checks = await verified(make_endpoint(variants_endpoint, "other_version"), oracle, questions)

    assert FAIL is checks["contract"].verdict
    assert "sha256:" + "f" * 64 in checks["contract"].measured
    assert bundle.profile.model_version in checks["contract"].limit
    assert {NOT_APPLICABLE} == {check.verdict for name, check in checks.items() if name != "contract"}


class PerturbedOracle:
    """An oracle of other weights: it believes in the last answer what the first one deserves."""

    def __init__(self, oracle: Oracle) -> None:
        """Wrap another."""
        self._oracle = oracle

    def prompt_tokens(self, message: str) -> TokenIds:
        """Send one token less."""
        return self._oracle.prompt_tokens(message)[:-1]

    def answer_log_probabilities(self, prompt: TokenIds, answers: Sequence[TokenIds]) -> list[list[float]]:
        """Turn every belief round."""
        return [[-value for value in values] for values in self._oracle.answer_log_probabilities(prompt, answers)]


async def test_other_weights_and_another_tokenizer_are_found(
    make_endpoint: MakeEndpoint, variants_endpoint: str, oracle: Oracle, questions: tuple[Question, ...]
) -> None:
    """Routes, probabilities and prompts differ; the report names the questions."""
    checks = await verified(make_endpoint(variants_endpoint, "healthy"), PerturbedOracle(oracle), questions)

    failed = {name for name, check in checks.items() if check.verdict is FAIL}
    assert {"prompt_tokens", "route_agreement", "probability_difference"} == failed
    assert questions[0].name in checks["prompt_tokens"].measured
    assert checks["route_agreement"].figures["different"]


async def test_each_fault_of_a_configuration_fails_its_own_check(
    make_endpoint: MakeEndpoint, variants_endpoint: str, oracle: Oracle, questions: tuple[Question, ...]
) -> None:
    """No reuse, too short a limit, a queue without bound: three checks fail, no other, each with something to do."""
    checks = await verified(make_endpoint(variants_endpoint, "badly_configured"), oracle, questions[:2])

    failed = {name for name, check in checks.items() if check.verdict is FAIL}
    assert {"kv_reuse", "prompt_limits", "overload"} == failed
    assert all(checks[name].remedy for name in failed)
    assert NOT_APPLICABLE is checks["queue_full_error"].verdict


async def test_a_model_that_is_not_there_cannot_be_verified(
    make_endpoint: MakeEndpoint, variants_endpoint: str, oracle: Oracle, questions: tuple[Question, ...]
) -> None:
    """No verdict is given about nothing."""
    with pytest.raises(NeedsMoreError, match=r"'nobody' at .* \(NOT_FOUND"):
        await verified(make_endpoint(variants_endpoint, "nobody", call_timeout_s=2), oracle, questions)


async def test_a_server_that_is_not_there_cannot_be_verified(
    make_endpoint: MakeEndpoint, oracle: Oracle, questions: tuple[Question, ...]
) -> None:
    """The endpoint is named."""
    with pytest.raises(NeedsMoreError, match=r"127\.0\.0\.1:1 does not answer \(UNAVAILABLE"):
        await verified(make_endpoint("127.0.0.1:1", "m", call_timeout_s=0.5), oracle, questions)


async def test_a_server_that_hangs_cannot_be_verified(
    make_endpoint: MakeEndpoint, oracle: Oracle, questions: tuple[Question, ...], bundle: PromptBundle
) -> None:
    """It gives its configuration and never an answer; the wait is the call's own limit."""
    async with fake_triton(bundle.profile.model_version, never) as address:
        endpoint = make_endpoint(address, "tensorrt_llm", call_timeout_s=0.5)

        with pytest.raises(NeedsMoreError, match=r"does not answer \(DEADLINE_EXCEEDED .*0\.5"):
            await verified(endpoint, oracle, questions)


async def test_an_endpoint_that_stops_answering_fails_what_it_was_asked(
    make_endpoint: MakeEndpoint, oracle: Oracle, questions: tuple[Question, ...], bundle: PromptBundle
) -> None:
    """After its first row of logits it hangs: the checks fail one by one, and the run ends."""
    call_count = 0

    async def once(request: service_pb2.ModelInferRequest, context: Context) -> service_pb2.ModelInferResponse:
        nonlocal call_count
        call_count += 1
        return row_of_logits(np.zeros(1024, np.float32)) if call_count == 1 else await never(request, context)

    async with fake_triton(bundle.profile.model_version, once) as address:
        endpoint = make_endpoint(address, "tensorrt_llm", call_timeout_s=0.3)

        checks = await verified(endpoint, oracle, questions)

    passed = {name for name, check in checks.items() if check.verdict is PASS}
    assert {"contract", "logits", "prompt_tokens"} == passed
    assert {FAIL} == {check.verdict for name, check in checks.items() if name not in passed}
    assert "DEADLINE_EXCEEDED" in checks["cancellation"].measured


@pytest.mark.parametrize(
    ("row", "seen"),
    [
        (np.zeros(512, np.float32), "float32 [1, 1, 1, 512], all finite"),
        (np.zeros(1024, np.float16), "float16 [1, 1, 1, 1024], all finite"),
        (np.full(1024, np.nan, np.float32), "float32 [1, 1, 1, 1024], not all finite"),
    ],
)
async def test_a_row_of_logits_that_is_not_the_checkpoints_fails(
    make_endpoint: MakeEndpoint,
    oracle: Oracle,
    questions: tuple[Question, ...],
    bundle: PromptBundle,
    row: np.ndarray,  # type: ignore[type-arg]  # several
    seen: str,
) -> None:
    """Cut short, of half precision, or not numbers: no decision is asked of it."""

    async def answer(_request: service_pb2.ModelInferRequest, _context: Context) -> service_pb2.ModelInferResponse:
        return row_of_logits(row)

    async with fake_triton(bundle.profile.model_version, answer) as address:
        checks = await verified(make_endpoint(address, "tensorrt_llm"), oracle, questions)

    assert FAIL is checks["logits"].verdict
    assert seen == checks["logits"].measured
    assert NOT_APPLICABLE is checks["route_agreement"].verdict


async def test_an_answer_without_logits_fails(
    make_endpoint: MakeEndpoint, oracle: Oracle, questions: tuple[Question, ...], bundle: PromptBundle
) -> None:
    """Where the output is simply absent the remedy is the same as for a refusal."""

    async def answer(_request: service_pb2.ModelInferRequest, _context: Context) -> service_pb2.ModelInferResponse:
        return generated(1)

    async with fake_triton(bundle.profile.model_version, answer) as address:
        checks = await verified(make_endpoint(address, "tensorrt_llm"), oracle, questions)

    assert "the answer has no generation_logits" == checks["logits"].measured


async def test_the_executors_full_queue_is_understood(make_endpoint: MakeEndpoint, bundle: PromptBundle) -> None:
    """TensorRT-LLM says INTERNAL with a text; the service makes overload of it."""
    async with fake_triton(bundle.profile.model_version, bounded_executor(2, 4, 0.005)) as address:
        overload, queue_full = await check_overload(make_endpoint(address, "tensorrt_llm"), 16)

    assert PASS is overload.verdict, overload
    assert (6, 10, 0) == tuple(overload.figures[name] for name in ("answered", "refused", "hung"))
    assert PASS is queue_full.verdict
    assert ["TensorRT-LLM's executor"] == queue_full.figures["servers"]
    assert queue_full.measured.endswith("became OverloadedError")


async def test_a_queue_that_hangs_fails(make_endpoint: MakeEndpoint, bundle: PromptBundle) -> None:
    """Calls that wait for ever are neither answered nor refused."""
    async with fake_triton(bundle.profile.model_version, bounded_executor(1, 1000, 0.002)) as address:
        endpoint = dataclasses.replace(make_endpoint(address, "tensorrt_llm"), call_timeout_s=0.6)

        overload, queue_full = await check_overload(endpoint, 16)

    assert FAIL is overload.verdict
    assert overload.figures["hung"]
    assert NOT_APPLICABLE is queue_full.verdict


async def test_a_generation_that_nobody_waits_for_any_more_fails(
    make_endpoint: MakeEndpoint, bundle: PromptBundle
) -> None:
    """An executor that does not notice makes the next call wait."""
    async with fake_triton(bundle.profile.model_version, stubborn_executor(0.0005)) as address:
        check = await check_cancellation(make_endpoint(address, "tensorrt_llm"))

    assert FAIL is check.verdict, check


async def test_a_generation_too_short_to_cancel_is_not_judged(
    make_endpoint: MakeEndpoint, bundle: PromptBundle
) -> None:
    """Nothing can be learnt from a model that is done before the cancellation arrives."""
    async with fake_triton(bundle.profile.model_version, bounded_executor(1, 4, 0.0)) as address:
        check = await check_cancellation(make_endpoint(address, "tensorrt_llm"))

    assert NOT_APPLICABLE is check.verdict
