"""``archrouter eval``."""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from archrouter import v1
from archrouter.cli.connection import Connection, service_options
from archrouter.cli.console import note, print_json, progress
from archrouter.cli.exits import EXIT_FAILED, UnusableError, service_errors
from archrouter.client import ClientOptions, RoutingClient
from archrouter.domain.policy import PolicySet
from archrouter.evaluation.commands.options import OutputOptions, RunOptions, output_options, run_options
from archrouter.evaluation.commands.tables import print_report
from archrouter.evaluation.comparison import robustness
from archrouter.evaluation.dataset import Dataset, DatasetError, read_dataset, read_policy_sets
from archrouter.evaluation.html_report import render_html
from archrouter.evaluation.journal import Journal, JournalError
from archrouter.evaluation.report import Report, Run, failure_counts, make_report, prediction_records
from archrouter.evaluation.runner import TurnResult, run_evaluation, scored_turns
from archrouter.evaluation.summary import summary
from archrouter.evaluation.variants import make_variants

EPILOG = """\b
Examples:
  archrouter eval --embedded benchmark/dev --summary summary.json --predictions predictions.jsonl
  archrouter eval --target 127.0.0.1:50051 --settings clinc_fine,sgd_fine --limit 20 benchmark/dev
  archrouter eval --embedded benchmark/dev --report report.html --robustness route-order,typos --resume run.journal
"""


@click.command("eval", short_help="Measure a service on a benchmark folder.", epilog=EPILOG)
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR")
@run_options
@output_options
@service_options()
def evaluate(connection: Connection, directory: Path, *, run: RunOptions, output: OutputOptions) -> None:
    """Measure a service on a benchmark folder: accuracy by turn, span and conversation, confidence, and latency.

    Policy sets travel inline with the threshold 0. A call that fails counts as wrong, is reported, and makes the exit
    code 1.
    """
    try:
        dataset = read_dataset(directory, run.settings)
        policy_sets = read_policy_sets(directory) if run.perturbations else {}
    except DatasetError as error:
        raise UnusableError(str(error)) from error
    if run.limit is not None:
        dataset = dataset.limited(run.limit)
    with (
        service_errors(connection.target),
        connection.service("--policies-inline-enabled", "--logging-level", "warning") as options,
    ):
        report = asyncio.run(_measure(options, run, dataset, policy_sets, directory.resolve().name))
    _write(report, dataset, output)
    _fail_on_failures(report)


async def _measure(
    options: ClientOptions, run: RunOptions, dataset: Dataset, policy_sets: Mapping[str, PolicySet], dataset_name: str
) -> Report:
    async with RoutingClient(options) as client:
        info = await client.server_info()
        if not info.inline_policies_enabled:
            msg = "the service takes no inline policy sets; start it with --policies-inline-enabled"
            raise UnusableError(msg)
        started, started_s = datetime.now(UTC), time.perf_counter()
        with _journal(run.journal, f"{_tier_name(info.tier)} {info.model_version}") as journal:
            results = await _ask(client, run, journal, "routing", dataset)
            wall_s = time.perf_counter() - started_s
            plain, rows = scored_turns(dataset, results), []
            for variant in make_variants(run.perturbations, dataset, policy_sets, run.seed):
                varied = await _ask(client, run, journal, variant.name, variant.dataset)
                turns = scored_turns(variant.dataset, varied)
                rows.append(robustness(variant.name, variant.mean_route_count, plain, turns))
    facts = Run(
        dataset_name=dataset_name,
        service_version=info.version,
        model_version=info.model_version,
        tier=_tier_name(info.tier),
        started=started,
        wall_s=wall_s,
        limit=run.limit,
        concurrency=run.concurrency,
        seed=run.seed,
    )
    return make_report(dataset, results, facts, rows)


async def _ask(
    client: RoutingClient, run: RunOptions, journal: Journal | None, name: str, dataset: Dataset
) -> tuple[TurnResult, ...]:
    with progress() as display:
        task = display.add_task(name, total=dataset.turn_count)
        return await run_evaluation(
            client,
            dataset,
            concurrency=run.concurrency,
            journal=journal,
            on_result=lambda _: display.advance(task),
        )


def _tier_name(tier: int) -> str:
    """Name a tier; the enum is open, so one this client does not know keeps its number."""
    known = tier in v1.Tier.values()
    return v1.Tier.Name(v1.Tier.ValueType(tier)).removeprefix("TIER_").lower() if known else str(tier)


@contextmanager
def _journal(path: Path | None, model: str) -> Iterator[Journal | None]:
    if path is None:
        yield None
        return
    try:
        journal = Journal(path, model)
    except JournalError as error:
        raise UnusableError(str(error)) from error
    with journal:
        yield journal


def _write(report: Report, dataset: Dataset, output: OutputOptions) -> None:
    document = summary(report)
    if output.predictions is not None:
        lines = (json.dumps(record, ensure_ascii=False) for record in prediction_records(report))
        output.predictions.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    if output.summary is not None:
        output.summary.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    if output.html is not None:
        output.html.write_text(render_html(report, dataset), encoding="utf-8")
    if output.as_json:
        print_json(document)
    else:
        print_report(report)


def _fail_on_failures(report: Report) -> None:
    if report.failures:
        causes = ", ".join(f"{count} x {cause}" for cause, count in failure_counts(report))
        note(f"{len(report.failures)} of {len(report.results)} calls failed and count as wrong: {causes}")
    for variant in report.robustness:
        if variant.failed_count:
            note(f"{variant.name}: {variant.failed_count} of {variant.accuracy.count} calls failed and count as wrong")
    if report.failures or report.failed_variant_call_count:
        click.get_current_context().exit(EXIT_FAILED)
