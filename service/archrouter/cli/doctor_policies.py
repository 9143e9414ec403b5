"""``archrouter doctor policies``."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
from rich.table import Table

from archrouter.cli.connection import Connection, service_options
from archrouter.cli.console import note, print_json, print_table, progress, shortened
from archrouter.cli.exits import EXIT_FAILED, UnusableError, service_errors
from archrouter.cli.policy_paths import EXISTING_FOLDER
from archrouter.client import ClientOptions, RetryOptions, RoutingClient
from archrouter.domain.findings import Finding, has_errors
from archrouter.domain.policy import NO_MATCH_ID, PolicySet
from archrouter.domain.suite import Suite, check_suite_routes
from archrouter.policy_files.directory import policy_files, read_policy_file, read_suite_file, suite_files
from archrouter.strict_yaml.document import LocatedFinding
from archrouter.suites.calls import DEFAULT_CONCURRENCY
from archrouter.workbench.policy_calls import ask_inline
from archrouter.workbench.policy_cases import Asked, PolicyCase, gather_cases, neutral_requests
from archrouter.workbench.policy_edits import EditError, reworded, unified_diff
from archrouter.workbench.policy_findings import PolicyFinding
from archrouter.workbench.policy_trial import Trial, Visit, visit

EPILOG = """\b
Examples:
  archrouter doctor policies examples/policies --embedded
  archrouter doctor policies policies --target 127.0.0.1:50051 --propose wording.diff
"""
CALL_TIMEOUT_S = 30.0
_PATIENCE = RetryOptions(max_attempts=5, initial_backoff_s=0.5, max_backoff_s=5.0)
"""A visit is hundreds of calls: a moment in which the service is not ready must not end it."""

_SHOWN_CONVERSATIONS = 3
_SHOWN_CHARACTERS = 48


@dataclass(frozen=True, slots=True)
class _Patient:
    """A policy set, its file and its suites."""

    path: Path
    policy_set: PolicySet
    suites: tuple[Suite, ...]


@click.command("policies", short_help="Find routes whose wording fails, and a better one.", epilog=EPILOG)
@click.argument("directory", type=EXISTING_FOLDER, metavar="DIR")
@click.option("--policy-set", "only", default="", metavar="ID", help="Look at this set of the folder only.")
@click.option(
    "--neutral",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Requests that are nobody's in particular, a line each under '# topic' lines, in place of the built-in ones.",
)
@click.option(
    "--propose",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Look for better wordings, and write those found as a diff. Policy files are never edited.",
)
@click.option("--concurrency", type=click.IntRange(min=1), default=DEFAULT_CONCURRENCY, show_default=True)
@service_options(timeout_s=CALL_TIMEOUT_S)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def doctor_policies(  # one parameter for each option
    connection: Connection,
    directory: Path,
    *,
    only: str,
    neutral: Path | None,
    propose: Path | None,
    concurrency: int,
    as_json: bool,
) -> None:
    """Route conversations by each policy set of a folder, and say which routes' wording fails.

    The conversations are those of the suites in the folder, the routes' own examples, each asked while it is taken out
    of the set, and neutral requests on many topics. The sets travel with the calls, so a running service needs
    policies.inline_enabled. Exit code 1 when something was found.
    """
    patients = _patients(directory, only)
    bank = neutral_requests(neutral.read_text(encoding="utf-8") if neutral else "")
    with service_errors(connection.target), connection.service("--policies-inline-enabled") as options:
        visits = asyncio.run(_visit_all(options, patients, bank, propose=propose is not None, concurrency=concurrency))
    if propose is not None:
        _write_diff(propose, patients, visits)
    if as_json:
        print_json({"policy_sets": [_record(seen) for seen in visits]})
    else:
        _print(visits)
    if any(seen.findings for seen in visits):
        click.get_current_context().exit(EXIT_FAILED)


def _patients(directory: Path, only: str) -> list[_Patient]:
    suites = [_read_suite(path) for path in suite_files(directory)]
    patients: dict[str, _Patient] = {}
    for path in policy_files(directory):
        document = read_policy_file(path)
        if document.content is None:
            raise _unusable(path, document.findings)
        policy_set = document.content
        own = [(suite_path, suite) for suite_path, suite in suites if suite.policy_set_id == policy_set.id]
        for suite_path, suite in own:
            if findings := check_suite_routes(suite, policy_set):
                raise _unusable(suite_path, findings)
        if only in {"", policy_set.id}:
            patients.setdefault(policy_set.id, _Patient(path, policy_set, tuple(suite for _, suite in own)))
    if not patients:
        msg = f"no policy set {only} in {directory}" if only else f"no policy file in {directory}"
        raise click.UsageError(msg)
    return list(patients.values())


def _read_suite(path: Path) -> tuple[Path, Suite]:
    document = read_suite_file(path)
    if document.content is None or has_errors(document.findings):
        raise _unusable(path, document.findings)
    return path, document.content


def _unusable(path: Path, findings: Sequence[Finding]) -> UnusableError:
    lines = "".join(f"\n  {LocatedFinding(path, finding)}" for finding in findings)
    return UnusableError(f"the file cannot be used:{lines}")


async def _visit_all(
    options: ClientOptions, patients: Sequence[_Patient], bank: Sequence[PolicyCase], *, propose: bool, concurrency: int
) -> list[Visit]:
    async with RoutingClient(options) as client:
        await client.server_info()  # an unreachable service ends the command here, not case by case
    async with RoutingClient(replace(options, retry=_PATIENCE)) as client:
        with progress() as display:
            task = display.add_task("routing", total=None)

            async def ask(questions: Sequence[tuple[PolicySet, PolicyCase]]) -> list[Asked]:
                """Route conversations and show how far it is."""
                return await ask_inline(
                    client, questions, concurrency=concurrency, on_answer=lambda *_: display.advance(task)
                )

            return [
                await visit(each.policy_set, gather_cases(each.policy_set, each.suites, bank), ask, propose=propose)
                for each in patients
            ]


def _write_diff(target: Path, patients: Sequence[_Patient], visits: Sequence[Visit]) -> None:
    """Write what is better; no file where nothing is, so that an old one is never taken for it."""
    target.unlink(missing_ok=True)
    diff = ""
    for patient, seen in zip(patients, visits, strict=True):
        if seen.accepted:
            before = patient.path.read_text(encoding="utf-8")
            try:
                diff += unified_diff(_diff_name(patient.path), before, reworded(before, seen.proposed))
            except EditError as error:
                note(f"{patient.path}: {error}")
    trial_count = sum(seen.trial_count for seen in visits)
    if diff:
        target.write_text(diff, encoding="utf-8")
        note(f"{target}: review it, then git apply {target}")
    elif not any(seen.accepted for seen in visits):
        note(f"no better wording among {trial_count} that were tried; no diff was written")


def _diff_name(path: Path) -> str:
    """Name a file as seen from here, where ``git apply`` will run; one that is elsewhere by its name alone."""
    here, there = Path.cwd(), path.resolve()
    return there.relative_to(here).as_posix() if there.is_relative_to(here) else path.name


def _print(visits: Sequence[Visit]) -> None:
    found = Table("policy set", "finding", "routes", "shown by", "conversations", title="Findings", show_lines=True)
    tried = Table("policy set", "routes", "wording", "right before", "right after", title="Better wordings")
    for seen in visits:
        for finding in seen.findings:
            shown = [_line(asked) for asked in finding.evidence[:_SHOWN_CONVERSATIONS]]
            count = f"{len(finding.evidence)} of {finding.case_count}"
            found.add_row(seen.policy_set.id, finding.kind.value, "\n".join(finding.route_ids), count, "\n".join(shown))
        for trial in seen.accepted:
            before, after = (f"{count} of {trial.case_count}" for count in (trial.right_before, trial.right_after))
            tried.add_row(seen.policy_set.id, "\n".join(trial.finding.route_ids), trial.summary, before, after)
        if seen.untested:
            note(f"{seen.policy_set.id}: too few conversations to judge {', '.join(seen.untested)}; write some")
        note(f"{seen.policy_set.id}: {len(seen.asked)} conversations, {len(seen.findings)} findings")
    for table in (found, tried):
        if table.row_count:
            print_table(table)


def _line(asked: Asked) -> str:
    text, winner = shortened(asked.case.text, _SHOWN_CHARACTERS), asked.verdict.winner or NO_MATCH_ID
    expected = asked.case.expected or NO_MATCH_ID
    return f"{text} → {winner}, not {expected}" if asked.case.is_labelled else f"{text} ({asked.case.topic}) → {winner}"


def _record(seen: Visit) -> dict[str, object]:
    return {
        "policy_set": seen.policy_set.id,
        "case_count": len(seen.asked),
        "untested": list(seen.untested),
        "findings": [_finding_record(finding) for finding in seen.findings],
        "tried_count": seen.trial_count,
        "proposals": [_trial_record(trial) for trial in seen.accepted],
    }


def _finding_record(finding: PolicyFinding) -> dict[str, object]:
    return {
        "kind": finding.kind.name,
        "routes": list(finding.route_ids),
        "evidence_count": len(finding.evidence),
        "case_count": finding.case_count,
        "conversations": [
            {
                "text": asked.case.text,
                "source": asked.case.source.value,
                "topic": asked.case.topic,
                "expected": (asked.case.expected or NO_MATCH_ID) if asked.case.is_labelled else None,
                "winner": asked.verdict.winner or NO_MATCH_ID,
                "probabilities": {route or NO_MATCH_ID: value for route, value in asked.verdict.probabilities.items()},
            }
            for asked in finding.evidence
        ],
    }


def _trial_record(trial: Trial) -> dict[str, object]:
    return {
        "kind": trial.finding.kind.name,
        "routes": list(trial.finding.route_ids),
        "wording": trial.summary,
        "right_before": trial.right_before,
        "right_after": trial.right_after,
        "case_count": trial.case_count,
    }
