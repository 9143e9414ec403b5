"""The run against a real server."""

import asyncio
from pathlib import Path

import grpc
from tests.support.benchmark_folder import CONVERSATION, write_benchmark
from tests.support.routing_services import AsyncScriptedService, matched, no_match, refused, serving_async

from archrouter import v1
from archrouter.client import ClientOptions, RetryOptions, RoutingClient
from archrouter.evaluation.dataset import Dataset, read_dataset
from archrouter.evaluation.journal import Journal
from archrouter.evaluation.prediction import Prediction
from archrouter.evaluation.runner import TurnResult, run_evaluation, scored_turns
from archrouter.suites.calls import Failure


def _dataset(directory: Path, conversation_count: int = 1) -> Dataset:
    conversations = [CONVERSATION | {"id": f"talk-{number}"} for number in range(conversation_count)]
    return read_dataset(write_benchmark(directory, conversations))


async def test_run_shows_each_turn_its_prefix_and_the_policy_set(tmp_path: Path) -> None:
    """Each call holds the messages up to its label, the policy set inline, and the threshold 0."""
    requests: list[v1.SelectRouteRequest] = []

    async def answer(request: v1.SelectRouteRequest) -> v1.Decision:
        """Remember the request."""
        requests.append(request)
        return matched("code")

    async with (
        serving_async(AsyncScriptedService(answer)) as target,
        RoutingClient(ClientOptions(target, timeout_s=5.0)) as client,
    ):
        await run_evaluation(client, _dataset(tmp_path), concurrency=1)

    assert [["write a loop"], ["write a loop", "done", "thanks"]] == [
        [message.content for message in request.messages] for request in requests
    ]
    assert v1.RoutingOptions(min_confidence=0.0) == requests[0].options
    assert ["code_write", "code"] == [route.id for route in requests[0].inline_policy_set.routes]
    assert ["placeholder"] == [model.model for model in requests[0].inline_policy_set.fallback_models]


async def test_run_predicts_other_where_no_route_was_chosen(tmp_path: Path) -> None:
    """A decision without a route is the prediction ``other``, with the confidence of the decision."""

    async def answer(request: v1.SelectRouteRequest) -> v1.Decision:
        """Choose by the latest message."""
        return no_match(0.9) if request.messages[-1].content == "thanks" else matched("code_write", 0.8)

    async with (
        serving_async(AsyncScriptedService(answer)) as target,
        RoutingClient(ClientOptions(target, timeout_s=5.0)) as client,
    ):
        results = await run_evaluation(client, _dataset(tmp_path))

    predictions = [result.answer for result in results if isinstance(result.answer, Prediction)]
    assert [("code_write", 0.8), ("other", 0.9)] == [(one.route, one.confidence) for one in predictions]
    assert all(one.duration_s > 0 for one in predictions)


async def test_run_keeps_failed_calls_as_results(tmp_path: Path) -> None:
    """A call that fails is a result with code and reason; the rest of the run goes on."""

    async def answer(request: v1.SelectRouteRequest) -> v1.Decision:
        """Fail for the first turn."""
        if len(request.messages) == 1:
            raise refused(grpc.StatusCode.INTERNAL, "ERROR_REASON_BACKEND_PROTOCOL")
        return no_match()

    dataset = _dataset(tmp_path)
    async with (
        serving_async(AsyncScriptedService(answer)) as target,
        RoutingClient(ClientOptions(target, timeout_s=5.0)) as client,
    ):
        results = await run_evaluation(client, dataset)

    failure = Failure(grpc.StatusCode.INTERNAL, "ERROR_REASON_BACKEND_PROTOCOL", "refused with INTERNAL")
    assert failure == results[0].answer
    assert [None, "other"] == [turn.predicted for turn in scored_turns(dataset, results)]


async def test_run_leaves_retries_to_the_client(tmp_path: Path) -> None:
    """A moment of unavailability is the channel's business and leaves no trace in the results."""
    failures = iter([refused(grpc.StatusCode.UNAVAILABLE)])

    async def answer(_request: v1.SelectRouteRequest) -> v1.Decision:
        """Fail once."""
        for failure in failures:
            raise failure
        return no_match()

    retry = RetryOptions(initial_backoff_s=0.01, max_backoff_s=0.02)
    async with (
        serving_async(AsyncScriptedService(answer)) as target,
        RoutingClient(ClientOptions(target, timeout_s=5.0, retry=retry)) as client,
    ):
        results = await run_evaluation(client, _dataset(tmp_path), concurrency=1)

    assert all(isinstance(result.answer, Prediction) for result in results)


async def test_run_has_as_many_calls_in_flight_as_told(tmp_path: Path) -> None:
    """The bound is reached and never exceeded."""
    in_flight, most = 0, 0
    all_there = asyncio.Event()

    async def answer(_request: v1.SelectRouteRequest) -> v1.Decision:
        """Wait until three calls are in."""
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        if most == 3:
            all_there.set()
        await all_there.wait()  # nobody leaves before three are in: a lower bound would hang here
        in_flight -= 1
        return no_match()

    async with (
        serving_async(AsyncScriptedService(answer)) as target,
        RoutingClient(ClientOptions(target, timeout_s=5.0)) as client,
    ):
        results = await run_evaluation(client, _dataset(tmp_path, 6), concurrency=3)

    assert 12 == len(results)
    assert 3 == most


async def test_run_returns_dataset_order_and_reports_as_it_goes(tmp_path: Path) -> None:
    """Results come in the order of the dataset although the first call is answered last."""
    another_seen = asyncio.Event()
    seen: list[TurnResult] = []

    def see(result: TurnResult) -> None:
        """Let the first turn go once there is a result."""
        seen.append(result)
        another_seen.set()

    async def answer(request: v1.SelectRouteRequest) -> v1.Decision:
        """Answer the first turn after the second."""
        if len(request.messages) == 1:
            await another_seen.wait()
        return no_match()

    async with (
        serving_async(AsyncScriptedService(answer)) as target,
        RoutingClient(ClientOptions(target, timeout_s=5.0)) as client,
    ):
        results = await run_evaluation(client, _dataset(tmp_path), concurrency=2, on_result=see)

    assert [0, 2] == [result.label.turn for result in results]
    assert [2, 0] == [result.label.turn for result in seen]


async def test_run_asks_only_what_the_journal_does_not_know(tmp_path: Path) -> None:
    """A run that broke off is continued: finished turns are not asked again, failed ones are, and all are results."""
    asked: list[int] = []
    is_broken = True

    async def answer(request: v1.SelectRouteRequest) -> v1.Decision:
        """Fail for later turns while the service is broken."""
        asked.append(len(request.messages))
        if is_broken and len(request.messages) > 1:
            raise refused(grpc.StatusCode.INTERNAL, "ERROR_REASON_INTERNAL")
        return matched("code_write", 0.75)

    dataset, path = _dataset(tmp_path, 2), tmp_path / "run.journal"
    async with (
        serving_async(AsyncScriptedService(answer)) as target,
        RoutingClient(ClientOptions(target, timeout_s=5.0)) as client,
    ):
        with Journal(path, "model") as journal:
            first = await run_evaluation(client, dataset, journal=journal)
        is_broken = False
        with Journal(path, "model") as journal:
            second = await run_evaluation(client, dataset, journal=journal)
            third = await run_evaluation(client, dataset, journal=journal)

    assert [1, 1, 3, 3, 3, 3] == sorted(asked)
    assert 2 == sum(isinstance(result.answer, Failure) for result in first)
    assert [True, False, True, False] == [result.is_resumed for result in second]
    assert [True] * 4 == [result.is_resumed for result in third]
    assert [result.answer for result in second] == [result.answer for result in third]
    assert [first[0].answer, first[2].answer] == [second[0].answer, second[2].answer]


async def test_run_reports_the_turns_of_the_journal_too(tmp_path: Path) -> None:
    """A progress display that counts results reaches its end in a resumed run as well."""

    async def answer(_request: v1.SelectRouteRequest) -> v1.Decision:
        """Answer."""
        return no_match()

    seen: list[TurnResult] = []
    dataset = _dataset(tmp_path)
    async with (
        serving_async(AsyncScriptedService(answer)) as target,
        RoutingClient(ClientOptions(target, timeout_s=5.0)) as client,
    ):
        with Journal(tmp_path / "run.journal", "model") as journal:
            await run_evaluation(client, dataset, journal=journal)
            await run_evaluation(client, dataset, journal=journal, on_result=seen.append)

    assert [0, 2] == [result.label.turn for result in seen]
