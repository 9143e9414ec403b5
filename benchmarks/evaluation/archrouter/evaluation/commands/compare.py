"""``archrouter compare``."""

from pathlib import Path

import click

from archrouter.cli.console import note, print_json
from archrouter.cli.exits import UnusableError
from archrouter.evaluation.commands.options import split_names
from archrouter.evaluation.commands.tables import print_comparison
from archrouter.evaluation.comparison import Comparison, compare
from archrouter.evaluation.dataset import DatasetError, read_dataset
from archrouter.evaluation.prediction import PredictionsError, read_predictions, scored_predictions
from archrouter.evaluation.summary import comparison_summary

EPILOG = """\b
Examples:
  archrouter compare before.jsonl after.jsonl --dataset benchmark/dev
  archrouter compare compact.jsonl engine.jsonl --dataset benchmark/dev --settings sgd_fine,sgd_coarse --json
"""
_EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("compare", short_help="Compare the predictions of two runs.", epilog=EPILOG)
@click.argument("first", type=_EXISTING_FILE, metavar="A")
@click.argument("second", type=_EXISTING_FILE, metavar="B")
@click.option(
    "--dataset",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="The benchmark folder of both runs.",
)
@click.option("--settings", default="", metavar="A,B", help="Settings to compare; all otherwise.")
@click.option("--common", is_flag=True, help="Leave out turns with a prediction in one run only.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON document.")
def compare_runs(first: Path, second: Path, *, dataset: Path, settings: str, common: bool, as_json: bool) -> None:
    """Compare two runs turn by turn: the files A and B are what eval --predictions wrote.

    For each difference there is the 95 % interval, by resampling conversations, and the p-value of the exact McNemar
    test. A turn with a prediction in one run only counts as wrong in the other, as a call that failed does; --common
    leaves such turns out, for runs over different parts of the dataset.
    """
    comparison = _compare(first, second, dataset, frozenset(split_names(settings)), common_only=common)
    if comparison is None:
        msg = "the files have no prediction to compare; name the predictions of two runs over this dataset"
        raise UnusableError(msg)
    for name, count in ((first, comparison.only_first_count), (second, comparison.only_second_count)):
        if count:
            note(
                f"{count} of {comparison.turn_count} turns have a prediction in {name} only and count as wrong in the "
                "other; --common leaves them out"
            )
    if as_json:
        print_json(comparison_summary(comparison))
    else:
        print_comparison(comparison, str(first), str(second))


def _compare(
    first: Path, second: Path, directory: Path, settings: frozenset[str], *, common_only: bool
) -> Comparison | None:
    try:
        dataset = read_dataset(directory)
        unknown = sorted(settings - {conversation.setting for conversation in dataset.conversations})
        if unknown:
            msg = f"{directory}: no setting {', '.join(unknown)}"
            raise UnusableError(msg)
        runs = [scored_predictions(dataset, read_predictions(path, dataset)) for path in (first, second)]
    except (DatasetError, PredictionsError) as error:
        raise UnusableError(str(error)) from error
    chosen = [[turn for turn in run if not settings or turn.setting in settings] for run in runs]
    return compare(*chosen, common_only=common_only)
