"""The compact router behind a real Triton: the same answers as without it, and refusals that say what is wrong."""

import asyncio
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from compact_model.router import CompactRouter, Scores
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from archrouter.domain.policy import PolicySet, RoutePolicy
from archrouter.domain.scoring import ScoringRequest
from archrouter.inference.connect import connect
from archrouter.inference.endpoint import EndpointSpec
from archrouter.inference.per_policy_set import WARM_UP

CONVERSATION = b'[{"role": "user", "content": "hello"}]'
CANDIDATE = b'{"id": "a", "domain": "", "action": "a", "description": ""}'
CALL_TIMEOUT_S = 60.0


@pytest.fixture
def client(triton_endpoint: str) -> InferenceServerClient:
    """Connect to Triton."""
    return InferenceServerClient(triton_endpoint)


def score(client: InferenceServerClient, conversation: bytes, candidates: Sequence[bytes]) -> Scores:
    """Make one call."""
    tensors = []
    for name, values in (("conversation", [conversation]), ("candidates", candidates)):
        array = np.array(values, dtype=np.object_)
        tensors.append(InferInput(name, array.shape, "BYTES"))
        tensors[-1].set_data_from_numpy(array)
    result = client.infer("compact_router", tensors, client_timeout=CALL_TIMEOUT_S)
    counts = ("prompt_token_count", "dropped_message_count", "dropped_token_count")
    return Scores(result.as_numpy("scores"), *(int(result.as_numpy(name)[0]) for name in counts))


@pytest.mark.parametrize("history_count", [0, 1, 12])
def test_an_answer_through_triton_is_that_of_the_model_bit_for_bit(
    root: Path, client: InferenceServerClient, history_count: int
) -> None:
    """Nothing is lost on the way, for long conversations neither."""
    history = [{"role": "user", "content": f"book flight number {number} to Rome"} for number in range(history_count)]
    conversation = json.dumps([*history, {"role": "user", "content": "now write a poem " * 60}]).encode()
    candidates = [
        json.dumps({"id": name, "domain": "", "action": name, "description": f"Requests about {name}"}).encode()
        for name in ("travel", "poetry", "cooking")
    ]
    folder = root / "model_repository" / "compact_router" / "1"
    alone = CompactRouter.load(folder, intra_op_thread_count=2, candidate_cache_capacity=8)

    expected, served = alone.score(conversation, candidates), score(client, conversation, candidates)

    assert np.array_equal(expected.logits, served.logits)
    assert (expected.prompt_token_count, expected.dropped_message_count, expected.dropped_token_count) == (
        served.prompt_token_count,
        served.dropped_message_count,
        served.dropped_token_count,
    )


@pytest.mark.parametrize(
    ("conversation", "candidates", "tensor"),
    [
        (b"[{", [CANDIDATE], "conversation"),
        (b"\xff", [CANDIDATE], "conversation"),
        (b'[{"role": "assistant", "content": "hello"}]', [CANDIDATE], "conversation"),
        (b"[]", [CANDIDATE], "conversation"),
        (CONVERSATION, [], "candidates"),
        (CONVERSATION, [CANDIDATE, b"{"], "candidates"),
        (CONVERSATION, [b'{"id": "a"}'], "candidates"),
    ],
)
def test_a_call_that_cannot_be_read_is_an_invalid_argument(
    client: InferenceServerClient, conversation: bytes, candidates: Sequence[bytes], tensor: str
) -> None:
    """The caller learns which tensor to mend, and Triton does not take the model for broken."""
    with pytest.raises(InferenceServerException, match=f"tensor '{tensor}'") as refusal:
        score(client, conversation, candidates)

    assert "StatusCode.INVALID_ARGUMENT" == refusal.value.status()


async def test_a_call_whose_caller_has_gone_is_not_computed(triton_endpoint: str) -> None:
    """Triton hands over every call that waited; of those that were given up none costs what an answer costs."""
    model = connect(EndpointSpec(triton_endpoint, "compact_router"), max_concurrent_requests=12)
    await model.warm_up(timeout_s=CALL_TIMEOUT_S)
    await model.score(unknown_to_the_model(0), timeout_s=CALL_TIMEOUT_S)
    calls = [
        asyncio.ensure_future(model.score(unknown_to_the_model(n), timeout_s=CALL_TIMEOUT_S)) for n in range(1, 13)
    ]
    await calls[0]  # the others wait behind it
    started_s = time.perf_counter()

    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await model.score(WARM_UP, timeout_s=CALL_TIMEOUT_S)  # after them in the queue
    given_up_s = time.perf_counter() - started_s
    started_s = time.perf_counter()
    await asyncio.gather(*(model.score(unknown_to_the_model(n), timeout_s=CALL_TIMEOUT_S) for n in range(13, 25)))
    answered_s = time.perf_counter() - started_s
    await model.close()

    assert given_up_s < 0.5 * answered_s


def unknown_to_the_model(number: int) -> ScoringRequest:
    """Make a question whose candidates the model has yet to read, which takes it longest."""
    routes = tuple(
        RoutePolicy(f"r{number}_{index}", "", f"a{number} {index}", f"anything about {number} and {index}", ())
        for index in range(40)
    )
    return replace(WARM_UP, policy_set=PolicySet("unknown", "", routes, ()))


def test_calls_are_answered_while_a_large_policy_set_is_loaded(
    client: InferenceServerClient, triton_endpoint: str
) -> None:
    """Loading 120 routes takes a second or more; the calls of other sets do not wait for its end."""
    large = [
        json.dumps({"id": f"large_{number}", "domain": "", "action": "a", "description": "one of many " * 8}).encode()
        for number in range(120)
    ]
    score(client, CONVERSATION, [CANDIDATE])
    with ThreadPoolExecutor(1) as threads:
        loading = threads.submit(score, InferenceServerClient(triton_endpoint), CONVERSATION, large)
        answered = 0
        while not loading.done():
            score(client, CONVERSATION, [CANDIDATE])
            answered += 1

        assert answered > 5
        assert (len(large) + 1,) == loading.result().logits.shape
