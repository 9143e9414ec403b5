"""The command line."""

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.table import Table

from archrouter.cli.console import note, print_json, print_table, progress
from archrouter.cli.exits import UnusableError
from data.drafting.endpoint import read_key, sends_in_the_clear
from data.drafting.errors import SetupError
from data.drafting.journal import read_journal
from data.drafting.plan import Plan, make_plan
from data.drafting.policy_sets import read_policy_set
from data.drafting.report import Report
from data.drafting.run import Display
from data.drafting.session import JOURNAL_FILE, RUN_FOLDER, Job, run_job
from data.drafting.settings import Settings, read_settings, with_budget
from data.drafting.topics import POOL, draw_topics, read_topics

EPILOG = """\b
Examples:
  python -m data.drafting settings.toml --out out/drafted --plan
  python -m data.drafting settings.toml --out out/drafted
  python -m data.drafting settings.toml --out out/support --policies customer-support.yaml --max-cost 5
  python -m data.drafting settings.toml --out out/support --policies customer-support.yaml --max-calls 0 --json

\b
The last one makes no call: it writes what the journal already holds.

\b
Exit codes:
  0  complete
  1  fewer dialogues than budget.min_yield asks for
  2  a file or an option cannot be used
  3  the endpoint does not answer, or left some items unanswered
  4  the budget is used up
  5  interrupted
After 3, 4 and 5 the same command goes on where it stopped and pays for no answer twice.
"""
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog=EPILOG,
)
@click.argument("settings_file", type=_FILE, metavar="SETTINGS")
@click.option(
    "--out",
    "directory",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the data and the journal; the same folder goes on with an earlier run.",
)
@click.option("--policies", "policy_file", type=_FILE, help="Make data for exactly the policies of this policy file.")
@click.option("--topics", "topic_file", type=_FILE, help="Draw topics from this pool instead of the built-in one.")
@click.option("--plan", "only_plan", is_flag=True, help="Only say how many calls the settings will make.")
@click.option("--max-calls", type=click.IntRange(min=0), help="Replaces budget.calls.")
@click.option("--max-cost", type=click.FloatRange(min=0), help="Replaces budget.cost.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan or the summary as one JSON document.")
def main(  # one parameter for each option
    settings_file: Path,
    directory: Path,
    *,
    policy_file: Path | None,
    topic_file: Path | None,
    only_plan: bool,
    max_calls: int | None,
    max_cost: float | None,
    as_json: bool,
) -> None:
    """Make labelled conversations with language models.

    SETTINGS is a TOML file that names an OpenAI-compatible endpoint, a model for each role, amounts and a budget.
    Topics become policies, policies become intents, intents become dialogues; a dialogue is kept when a second model,
    which does not see the labels, labels every user message alike. OUT becomes a benchmark folder that `archrouter
    eval` reads.
    """
    if policy_file and topic_file:
        msg = "--policies and --topics exclude each other: data are made for given policies, or about topics"
        raise click.UsageError(msg)
    try:
        settings = with_budget(read_settings(settings_file), calls=max_calls, cost=max_cost)
        job = _job(settings, settings_file.parent, directory, policy_file, topic_file)
        if only_plan:
            _show_plan(job, as_json=as_json)
            return
        with _display() as display:
            report = asyncio.run(run_job(job, display))
    except SetupError as error:
        raise UnusableError(str(error)) from error
    _show_report(report, as_json=as_json)
    click.get_current_context().exit(report.exit_code)


def _job(settings: Settings, home: Path, directory: Path, policy_file: Path | None, topic_file: Path | None) -> Job:
    key = read_key(settings.endpoint, home, os.environ)
    if key and sends_in_the_clear(settings.endpoint.base_url):
        note("warning: endpoint.base_url is plain http to another machine, so the key can be read on the way")
    if policy_file:
        return Job(settings, read_policy_set(policy_file), key, directory)
    topics = draw_topics(read_topics(topic_file or POOL), settings.amounts.topics, settings.amounts.seed)
    return Job(settings, topics, key, directory)


@contextmanager
def _display() -> Iterator[Display]:
    with progress() as bars:

        def begin(name: str, total: int) -> Callable[[str], None]:
            task = bars.add_task(name, total=total)
            return lambda line: bars.update(task, advance=1, description=line)

        yield begin


def _show_plan(job: Job, *, as_json: bool) -> None:
    plan = make_plan(job.settings, job.policy_set)
    answered = len(read_journal(job.directory / RUN_FOLDER / JOURNAL_FILE))
    if as_json:
        print_json(_plan_document(plan, answered, job.settings.budget.calls))
        return
    table = Table(
        "role", "model", "calls at least", "at most", title=f"{plan.dialogues} dialogues, {plan.routes} routes"
    )
    for role in plan.roles:
        table.add_row(role.role.value, role.model, str(role.fewest), str(role.most))
    table.add_section()
    table.add_row("all", "", str(plan.fewest), str(plan.most))
    print_table(table)
    click.echo(f"budget.calls is {job.settings.budget.calls}; the journal already holds {answered} answers")


def _plan_document(plan: Plan, answered: int, budget_calls: int) -> dict[str, object]:
    return {
        "routes": plan.routes,
        "dialogues": plan.dialogues,
        "calls": {"fewest": plan.fewest, "most": plan.most},
        "roles": {
            role.role.value: {"model": role.model, "fewest": role.fewest, "most": role.most} for role in plan.roles
        },
        "budget_calls": budget_calls,
        "answers_in_journal": answered,
    }


def _show_report(report: Report, *, as_json: bool) -> None:
    if as_json:
        print_json(json.loads(json.dumps(report.document())))
    else:
        print_table(report.table())
        for warning in report.product.warnings:
            note(f"warning: {warning}")
        for error in report.product.rejections:
            note(f"rejected: {error}")
        spent = report.ledger.spent
        click.echo(
            f"{len(report.product.dialogues)} of {report.plan.dialogues} dialogues; all runs with this folder: "
            f"{spent.calls} answers, {spent.tokens} tokens, cost {spent.cost:.4f}"
        )
    note(report.conclusion)
