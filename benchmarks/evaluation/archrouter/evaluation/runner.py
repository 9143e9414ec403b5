"""Asking a service for the route of every labelled turn."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from archrouter import v1
from archrouter.client import RoutingClient
from archrouter.domain.policy import NO_MATCH_ID
from archrouter.evaluation.dataset import Dataset, Label, LabelledConversation
from archrouter.evaluation.journal import Journal, question_digest
from archrouter.evaluation.prediction import Prediction
from archrouter.evaluation.turns import ScoredTurn, scored_turn
from archrouter.suites.calls import DEFAULT_CONCURRENCY, Answer, Failure, ask_all
from archrouter.suites.requests import inline_policy_set, request_messages


@dataclass(frozen=True, slots=True)
class TurnResult:
    """What came of one labelled turn.

    Attributes:
        conversation: The conversation.
        label: The turn and its right route.
        answer: The prediction, or why there is none.
        is_resumed: Whether the prediction is from the journal of an earlier run.
    """

    conversation: LabelledConversation
    label: Label
    answer: Prediction | Failure
    is_resumed: bool = False


@dataclass(frozen=True, slots=True)
class _Question:
    conversation: LabelledConversation
    label: Label
    digest: str


def _ignore(_result: TurnResult) -> None:
    """Report nothing."""


async def run_evaluation(
    client: RoutingClient,
    dataset: Dataset,
    *,
    concurrency: int = DEFAULT_CONCURRENCY,
    journal: Journal | None = None,
    on_result: Callable[[TurnResult], None] = _ignore,
) -> tuple[TurnResult, ...]:
    """Route every labelled turn of a dataset, each with the conversation up to it and nothing later.

    The policy sets travel inline. The threshold is 0, so that a route is predicted unless no match leads: a benchmark
    measures the model, not somebody's thresholds.

    Args:
        client: Connected to the service.
        dataset: What to ask.
        concurrency: Calls in flight, >= 1.
        journal: Answers what it knows in place of the service, and takes down what it does not; None for none.
        on_result: Called with each result as it comes, in the event loop; those of the journal come first.

    Returns:
        One result for each labelled turn, in the order of the dataset; a call that failed is a result too.
    """
    questions = list(_questions(dataset, journal))
    results = _resumed(questions, journal)
    for result in results.values():
        on_result(result)
    asked = [index for index in range(len(questions)) if index not in results]

    def on_answer(position: int, answer: Answer) -> None:
        """Write the answer down before anything else happens; a line takes microseconds, so the loop may wait."""
        question = questions[asked[position]]
        result = _result(question, answer)
        if journal and isinstance(result.answer, Prediction):
            journal.record(question.digest, question.conversation.id, question.label.turn, result.answer)
        results[asked[position]] = result
        on_result(result)

    requests = _requests(dataset, (questions[index] for index in asked))
    await ask_all(client, requests, concurrency=concurrency, on_answer=on_answer)
    return tuple(results[index] for index in range(len(questions)))


def scored_turns(dataset: Dataset, results: Iterable[TurnResult]) -> list[ScoredTurn]:
    """Put labels and predictions side by side, in the order of the results; a failed call has no prediction."""
    turns = []
    for result in results:
        decided = result.answer if isinstance(result.answer, Prediction) else None
        route, confidence = (decided.route, decided.confidence) if decided else (None, None)
        turns.append(scored_turn(dataset, result.conversation, result.label, route, confidence))
    return turns


def _questions(dataset: Dataset, journal: Journal | None) -> Iterator[_Question]:
    for conversation in dataset.conversations:
        policy_set = dataset.policy_sets[conversation.policy_set]
        for label in conversation.labels:
            digest = question_digest(conversation, label, policy_set) if journal else ""
            yield _Question(conversation, label, digest)


def _resumed(questions: Sequence[_Question], journal: Journal | None) -> dict[int, TurnResult]:
    results = {}
    for index, question in enumerate(questions):
        known = journal.answer(question.digest) if journal else None
        if known is not None:
            results[index] = TurnResult(question.conversation, question.label, known, is_resumed=True)
    return results


def _requests(dataset: Dataset, questions: Iterable[_Question]) -> Iterator[v1.SelectRouteRequest]:
    """Write the requests one by one; questions of one policy set mostly follow each other, so the last is kept."""
    name, policy_set = "", v1.PolicySet()
    for question in questions:
        conversation = question.conversation
        if conversation.policy_set != name:
            name, policy_set = conversation.policy_set, inline_policy_set(dataset.policy_sets[conversation.policy_set])
        yield v1.SelectRouteRequest(
            messages=request_messages(conversation.prefix(question.label)),
            inline_policy_set=policy_set,
            options=v1.RoutingOptions(min_confidence=0.0),
        )


def _result(question: _Question, answer: Answer) -> TurnResult:
    if isinstance(answer, Failure):
        return TurnResult(question.conversation, question.label, answer)
    decision = answer.decision
    prediction = Prediction(decision.route_id or NO_MATCH_ID, decision.confidence, answer.duration_s)
    return TurnResult(question.conversation, question.label, prediction)
