"""``archrouter test``."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from rich.table import Table

from archrouter.cli.connection import Connection, service_options
from archrouter.cli.console import note, print_json, print_table, progress
from archrouter.cli.exits import EXIT_FAILED, UnusableError, service_errors
from archrouter.cli.junit import junit_xml
from archrouter.cli.policy_paths import (
    EXISTING_FOLDER,
    EXISTING_PATHS,
    read_policy_sets,
    suite_paths,
)
from archrouter.client import ClientOptions, RoutingClient
from archrouter.domain.policy import PolicySet
from archrouter.domain.suite import Suite
from archrouter.suites.calls import DEFAULT_CONCURRENCY, Answered
from archrouter.suites.run import CaseResult, run_suite
from archrouter.workbench.formats import percent, shortened
from archrouter.workbench.policies import WorkbenchError, read_suite

EPILOG = """\b
Examples:
  archrouter test --embedded examples/policies
  archrouter test --target 127.0.0.1:50051 --junit suites.xml policies/support_test.yaml
"""
_MESSAGE_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class LoadedSuite:
    """A suite, and the policy set of the file beside it; None when there is none."""

    path: Path
    suite: Suite
    policy_set: PolicySet | None


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """What came of one suite."""

    path: Path
    policy_set_id: str
    cases: tuple[CaseResult, ...]

    @property
    def passed_count(self) -> int:
        """How many cases came out as expected."""
        return sum(case.passed for case in self.cases)


@click.command(short_help="Run policy suites against a service.", epilog=EPILOG)
@click.argument("paths", nargs=-1, required=True, type=EXISTING_PATHS, metavar="DIR|FILE...")
@click.option("--policies", type=EXISTING_FOLDER, help="Folder of the policy files; beside each suite otherwise.")
@click.option("--inline", is_flag=True, help="With --target: send the policy files along, instead of testing its own.")
@click.option(
    "--min-accuracy", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="Share of cases that must pass."
)
@click.option("--concurrency", type=click.IntRange(min=1), default=DEFAULT_CONCURRENCY, show_default=True)
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write the results as JUnit XML.")
@service_options()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def test(  # one parameter for each option
    connection: Connection,
    paths: Sequence[Path],
    *,
    policies: Path | None,
    inline: bool,
    min_accuracy: float,
    concurrency: int,
    junit: Path | None,
    as_json: bool,
) -> None:
    """Run policy suites: conversations with the route that their author expects.

    A running service (--target) is tested with the policy sets it has loaded, a service started for the test
    (--embedded) with the policy files beside the suites.
    """
    suites = [_load(path, policies) for path in suite_paths(paths, any_name=True)]
    if not suites:
        msg = f"no suite (*_test.yaml) in {', '.join(map(str, paths))}"
        raise click.UsageError(msg)
    inline = inline or connection.embedded
    without_policies = [str(loaded.path) for loaded in suites if inline and loaded.policy_set is None]
    if without_policies:
        msg = f"no policy file for {', '.join(without_policies)}; name the folder of the policy files: --policies DIR"
        raise click.UsageError(msg)
    with service_errors(connection.target), connection.service("--policies-inline-enabled") as options:
        results = asyncio.run(_run(options, suites, inline=inline, concurrency=concurrency))
    if junit is not None:
        cases = {str(result.path): result.cases for result in results}
        junit.write_text(junit_xml(cases), encoding="utf-8")
    accuracy = sum(result.passed_count for result in results) / sum(len(result.cases) for result in results)
    if as_json:
        print_json({"accuracy": round(accuracy, 4), "suites": [_record(result) for result in results]})
    else:
        _print(results)
    if accuracy < min_accuracy:
        note(f"{percent(accuracy)} of the cases passed, less than {percent(min_accuracy)} (--min-accuracy)")
        click.get_current_context().exit(EXIT_FAILED)


def _load(path: Path, policies: Path | None) -> LoadedSuite:
    policy_sets = read_policy_sets(policies or path.parent)
    try:
        suite = read_suite(path, policy_sets)
    except WorkbenchError as error:
        raise UnusableError(str(error)) from error
    return LoadedSuite(path, suite, policy_sets.get(suite.policy_set_id))


async def _run(
    options: ClientOptions, suites: Sequence[LoadedSuite], *, inline: bool, concurrency: int
) -> list[SuiteResult]:
    results = []
    async with RoutingClient(options) as client:
        await client.server_info()  # an unreachable service ends the command here, not case by case
        with progress() as display:
            task = display.add_task("routing", total=sum(len(loaded.suite.cases) for loaded in suites))
            for loaded in suites:
                policy_set = loaded.policy_set if inline else None
                cases = await run_suite(client, loaded.suite, inline=policy_set, concurrency=concurrency)
                display.advance(task, len(cases))
                results.append(SuiteResult(loaded.path, loaded.suite.policy_set_id, cases))
                _note_other_revision(loaded, cases)
    return results


def _note_other_revision(loaded: LoadedSuite, cases: Sequence[CaseResult]) -> None:
    """Say so when the service decided by another revision than that of the file beside the suite."""
    served = {case.answer.decision.policy_set_revision for case in cases if isinstance(case.answer, Answered)}
    if loaded.policy_set is not None and served - {loaded.policy_set.revision}:
        note(f"warning: the service has another revision of {loaded.policy_set.id} than the file beside {loaded.path}")


def _print(results: Sequence[SuiteResult]) -> None:
    failed = Table("suite", "case", "latest message", "expected", "actual", title="Cases that failed")
    totals = Table("suite", "policy set", "cases", "passed", "share", title="Suites")
    for result in results:
        for case in result.cases:
            if not case.passed:
                message = shortened(case.case.messages[-1].content, _MESSAGE_CHARACTERS)
                failed.add_row(result.path.name, case.case.name, message, case.expected, case.actual)
        share = result.passed_count / len(result.cases)
        totals.add_row(
            result.path.name, result.policy_set_id, str(len(result.cases)), str(result.passed_count), percent(share)
        )
    if failed.row_count:
        print_table(failed)
    print_table(totals)


def _record(result: SuiteResult) -> dict[str, object]:
    return {
        "file": str(result.path),
        "policy_set": result.policy_set_id,
        "case_count": len(result.cases),
        "passed_count": result.passed_count,
        "cases": [
            {
                "name": case.case.name,
                "passed": case.passed,
                "expected": case.expected,
                "actual": case.actual,
                "confidence": case.answer.decision.confidence if isinstance(case.answer, Answered) else None,
            }
            for case in result.cases
        ],
    }
