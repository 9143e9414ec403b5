"""Reports of a run over the made-up benchmark folder."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.support.benchmark_folder import write_benchmark

from archrouter.evaluation.comparison import Robustness
from archrouter.evaluation.dataset import Dataset, read_dataset
from archrouter.evaluation.prediction import Prediction
from archrouter.evaluation.report import Report, Run, make_report
from archrouter.evaluation.runner import TurnResult
from archrouter.suites.calls import Failure

RUN = Run(
    dataset_name="made-up",
    service_version="9.8.7",
    model_version="sha256:0",
    tier="compact",
    started=datetime(2025, 6, 19, 12, 30, tzinfo=UTC),
    wall_s=0.5,
    limit=None,
    concurrency=4,
    seed=1,
)


def report_of(
    dataset: Dataset, answers: Sequence[Prediction | Failure], robustness: Sequence[Robustness] = ()
) -> Report:
    """Report a run that gave these answers, one for each labelled turn."""
    questions = [(conversation, label) for conversation in dataset.conversations for label in conversation.labels]
    results = tuple(
        TurnResult(conversation, label, answer)
        for (conversation, label), answer in zip(questions, answers, strict=True)
    )
    return make_report(dataset, results, RUN, robustness)


def small_report(directory: Path, *answers: Prediction | Failure) -> Report:
    """Report a run over one conversation of two labelled turns: ``code_write``, then ``other``."""
    return report_of(read_dataset(write_benchmark(directory)), answers)
