"""This project's service, over gRPC and Triton, one call at a time."""

import asyncio
from collections.abc import Callable

from benchmarks.peers.peer import Result

from archrouter.client import ClientOptions, RoutingClient
from archrouter.evaluation.dataset import Dataset
from archrouter.evaluation.metrics import latency, measure
from archrouter.evaluation.prediction import Prediction
from archrouter.evaluation.runner import TurnResult, run_evaluation, scored_turns

_CALL_TIMEOUT_S = 30.0


class CallsFailedError(Exception):
    """Not every turn got a decision, so the row would not be comparable."""


def run_service(name: str, seen: str, target: str, dataset: Dataset, on_turn: Callable[[], None]) -> Result:
    """Ask a service for every labelled turn.

    Args:
        name: What the table calls it.
        seen: What its model was trained on.
        target: HOST:PORT; it must take inline policy sets.
        dataset: At least one labelled turn.
        on_turn: Called after each.

    Returns:
        Its row.

    Raises:
        CallsFailedError: When a call failed.
    """
    results = asyncio.run(_ask(target, dataset, on_turn))
    predictions = [result.answer for result in results if isinstance(result.answer, Prediction)]
    timed = latency([prediction.duration_s for prediction in predictions])
    if timed is None or len(predictions) < len(results):
        msg = f"{len(results) - len(predictions)} of {len(results)} calls to {name} failed; is it the right service?"
        raise CallsFailedError(msg)
    return Result(name, seen, measure(scored_turns(dataset, results)), timed, "gRPC and Triton")


async def _ask(target: str, dataset: Dataset, on_turn: Callable[[], None]) -> tuple[TurnResult, ...]:
    async with RoutingClient(ClientOptions(target, timeout_s=_CALL_TIMEOUT_S)) as client:
        return await run_evaluation(client, dataset, concurrency=1, on_result=lambda _: on_turn())
