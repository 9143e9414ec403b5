"""Serve the model from a real Triton: compare its answers with those without Triton, provoke refusals, take times."""

import argparse
import asyncio
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from compact_model.router import CompactRouter, Scores
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton
from compact_router.benchmark import LabelledTurn, benchmark_turns
from compact_router.manifest import MODEL_DIRECTORY, VERSION
from compact_router.router import load_router

START_TIMEOUT_S = 60.0
CALL_TIMEOUT_S = 60.0
TIMED_CALL_COUNT = 200
CANDIDATE_COUNTS = (15, 150)
INVALID_ARGUMENT = "StatusCode.INVALID_ARGUMENT"

SOUND_CONVERSATION = b'[{"role": "user", "content": "hello"}]'
SOUND_CANDIDATE = b'{"id": "a", "domain": "", "action": "a", "description": ""}'
INVALID_CALLS = {
    "the conversation is not JSON": (b"[{", [SOUND_CANDIDATE]),
    "the conversation is not UTF-8": (b"\xff", [SOUND_CANDIDATE]),
    "no message is the user's": (b'[{"role": "assistant", "content": "hello"}]', [SOUND_CANDIDATE]),
    "there is no message": (b"[]", [SOUND_CANDIDATE]),
    "there is no candidate": (SOUND_CONVERSATION, []),
    "a candidate is not JSON": (SOUND_CONVERSATION, [SOUND_CANDIDATE, b"{"]),
    "a candidate lacks a field": (SOUND_CONVERSATION, [b'{"id": "a"}']),
}


@dataclass(frozen=True, slots=True)
class Latency:
    """Time of calls as a client on the same host sees it, in seconds.

    Attributes:
        first: Of the first call, whose candidates are new to the model.
        p50: Median of the calls after it, each with a conversation new to the model.
        p99: Their 99th percentile.
    """

    first: float
    p50: float
    p99: float


class Client:
    """Calls the model over gRPC."""

    def __init__(self, endpoint: str, model: str = "compact_router") -> None:
        """Connect.

        Args:
            endpoint: HOST:PORT of Triton's gRPC.
            model: Its name there.
        """
        self._client = InferenceServerClient(endpoint)
        self._model = model

    def score(self, conversation: bytes, candidates: Sequence[bytes]) -> Scores:
        """Make one call.

        Args:
            conversation: The tensor ``conversation``.
            candidates: The tensor ``candidates``.

        Returns:
            The answer.

        Raises:
            InferenceServerException: When Triton refuses it.
        """
        tensors = []
        for name, values in (("conversation", [conversation]), ("candidates", candidates)):
            array = np.array(values, dtype=np.object_)
            tensor = InferInput(name, array.shape, "BYTES")
            tensor.set_data_from_numpy(array)
            tensors.append(tensor)
        result = self._client.infer(self._model, tensors, client_timeout=CALL_TIMEOUT_S)
        counts = ("prompt_token_count", "dropped_message_count", "dropped_token_count")
        return Scores(result.as_numpy("scores"), *(int(result.as_numpy(name)[0]) for name in counts))


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m compact_router.verify", description=__doc__)
    parser.add_argument("benchmark", type=Path, help="folder with policies/ and one .jsonl per setting")
    parser.add_argument("--model-directory", type=Path, default=MODEL_DIRECTORY, help="default: the one in this tree")
    parser.add_argument("--turns", type=int, default=300, help="to compare and to time with (default: %(default)s)")
    arguments = parser.parse_args()
    turns = benchmark_turns(arguments.benchmark)
    turns = turns[:: max(1, len(turns) // arguments.turns)]
    asyncio.run(verify(arguments.model_directory, turns))


async def verify(model_directory: Path, turns: Sequence[LabelledTurn]) -> None:
    """Serve the model for as long as the checks take.

    Args:
        model_directory: In a model repository.
        turns: Calls to compare and to time with.
    """
    triton = EmbeddedTriton(model_directory.parent, (EmbeddedModel(model_directory.name),), START_TIMEOUT_S)
    started_s = time.perf_counter()
    await triton.start()
    print(f"ready after {time.perf_counter() - started_s:.1f} s")
    try:
        await asyncio.to_thread(check, Client(triton.endpoint), model_directory, turns)
    finally:
        await triton.stop()
        triton.close()


def check(client: Client, model_directory: Path, turns: Sequence[LabelledTurn]) -> None:
    """Time, compare and provoke.

    Args:
        client: Of a model that has not been called yet, so that its caches are empty.
        model_directory: The same model, for the answers without Triton.
        turns: Calls to make.
    """
    distinct = dict.fromkeys(candidate for turn in turns for candidate in turn.candidates)
    conversations = list(dict.fromkeys(turn.conversation for turn in turns))
    for count, part in zip(CANDIDATE_COUNTS, _halves(conversations), strict=True):
        candidates = list(itertools.islice(distinct, count))
        timed = measure(client, part, candidates)
        print(
            f"{len(candidates)} candidates, {len(part)} conversations: first {1000 * timed.first:.1f} ms, "
            f"p50 {1000 * timed.p50:.1f} ms, p99 {1000 * timed.p99:.1f} ms"
        )
    router = load_router(model_directory / VERSION, intra_op_thread_count=2)
    print(f"{count_equal(client, router, turns)} of {len(turns)} answers equal those without Triton, bit for bit")
    for what, (conversation, invalid_candidates) in INVALID_CALLS.items():
        print(f"{what}: {refusal(client, conversation, invalid_candidates)}")


def measure(client: Client, conversations: Sequence[bytes], candidates: Sequence[bytes]) -> Latency:
    """Time one call per conversation, one after the other.

    Args:
        client: The model.
        conversations: At least two, different ones.
        candidates: The same for all calls.

    Returns:
        What the calls took.
    """
    durations = []
    for conversation in conversations:
        started_s = time.perf_counter()
        client.score(conversation, candidates)
        durations.append(time.perf_counter() - started_s)
    return Latency(durations[0], *map(float, np.quantile(durations[1:], (0.5, 0.99))))


def count_equal(client: Client, router: CompactRouter, turns: Sequence[LabelledTurn]) -> int:
    """Compare the answers.

    Args:
        client: The model in Triton.
        router: The model without it.
        turns: Calls to make of both.

    Returns:
        How many answers are equal in every bit and count.
    """
    equal_count = 0
    for turn in turns:
        served, alone = (model.score(turn.conversation, turn.candidates) for model in (client, router))
        equal_count += (
            np.array_equal(served.logits, alone.logits)
            and served.prompt_token_count == alone.prompt_token_count
            and served.dropped_message_count == alone.dropped_message_count
            and served.dropped_token_count == alone.dropped_token_count
        )
    return equal_count


def refusal(client: Client, conversation: bytes, candidates: Sequence[bytes]) -> str:
    """Make a call that must be refused.

    Args:
        client: The model.
        conversation: The tensor ``conversation``.
        candidates: The tensor ``candidates``.

    Returns:
        Status and text of the refusal.

    Raises:
        AssertionError: When it is answered, or refused with another status than INVALID_ARGUMENT.
    """
    try:
        client.score(conversation, candidates)
    except InferenceServerException as error:
        if error.status() == INVALID_ARGUMENT:
            return f"{error.status()} {json.dumps(error.message())}"
        msg = f"refused with {error.status()}, not {INVALID_ARGUMENT}: {error.message()}"
        raise AssertionError(msg) from error
    msg = "answered; it should be refused"
    raise AssertionError(msg)


def _halves(conversations: Sequence[bytes]) -> tuple[Sequence[bytes], Sequence[bytes]]:
    """Split into equally mixed parts, so that no measurement meets a conversation of the one before in the cache."""
    return conversations[::2], conversations[1::2]


if __name__ == "__main__":
    main()
