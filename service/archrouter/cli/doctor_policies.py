"""``archrouter doctor policies``."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from rich.table import Table

from archrouter import v1
from archrouter.cli.asking import SERVE_ARGUMENTS, asking
from archrouter.cli.connection import Connection, service_options
from archrouter.cli.console import note, print_json, print_table
from archrouter.cli.exits import EXIT_FAILED, UnusableError, service_errors
from archrouter.cli.policy_paths import EXISTING_FOLDER
from archrouter.client import ClientOptions, RoutingError
from archrouter.domain.policy import NO_MATCH_ID, PolicySet
from archrouter.policy_files.directory import suite_files
from archrouter.suites.calls import DEFAULT_CONCURRENCY, Answer, Failure
from archrouter.workbench.drafting import Drafter, draft_cases
from archrouter.workbench.edits import edited, file_diff
from archrouter.workbench.formats import shortened
from archrouter.workbench.policies import PolicyFile, WorkbenchError, read_policy_files, read_suite
from archrouter.workbench.policy_cases import Asked, PolicyCase, Source, Verdict, gather_cases, neutral_requests
from archrouter.workbench.policy_report import render_visits, visits_document
from archrouter.workbench.policy_trial import Visit, visit

EPILOG = """\b
Examples:
  archrouter doctor policies examples/policies --embedded
  archrouter doctor policies policies --target 127.0.0.1:50051 --propose wording.diff --report wording.html
  archrouter doctor policies policies --embedded --draft-url https://api.openai.com/v1 --draft-model gpt-4.1-mini \\
    --draft-key-env OPENAI_API_KEY
"""
CALL_TIMEOUT_S = 30.0

_SHOWN_CONVERSATIONS = 3
_SHOWN_CHARACTERS = 48


@dataclass(frozen=True, slots=True)
class _Patient:
    """A policy set, its file, and the conversations that test it."""

    file: PolicyFile
    cases: Sequence[PolicyCase]


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
@click.option("--draft-url", metavar="URL", help="Endpoint with OpenAI's chat completions that drafts conversations.")
@click.option("--draft-model", metavar="NAME", help="Its model.")
@click.option(
    "--draft-key-env", metavar="VARIABLE", help="Environment variable that holds its key; otherwise none is sent."
)
@click.option(
    "--draft-count", type=click.IntRange(1, 20), default=4, show_default=True, help="Conversations for each route."
)
@click.option("--concurrency", type=click.IntRange(min=1), default=DEFAULT_CONCURRENCY, show_default=True)
@service_options(timeout_s=CALL_TIMEOUT_S)
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write one HTML page.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def doctor_policies(  # noqa: PLR0913  # one parameter for each option
    connection: Connection,
    directory: Path,
    *,
    only: str,
    neutral: Path | None,
    propose: Path | None,
    draft_url: str | None,
    draft_model: str | None,
    draft_key_env: str | None,
    draft_count: int,
    concurrency: int,
    report: Path | None,
    as_json: bool,
) -> None:
    """Route conversations by each policy set of a folder, and say which routes' wording fails.

    The conversations are those of the suites in the folder, the routes' own examples, each asked while it is taken out
    of the set, neutral requests on many topics and, where an endpoint is named, some that its model drafts for each
    route. The sets travel with the calls, so a running service needs policies.inline_enabled. Exit code 1 when
    something was found.
    """
    bank = neutral_requests(neutral.read_text(encoding="utf-8") if neutral else "")
    try:
        drafter = _drafter(draft_url, draft_model, draft_key_env)
        patients = _patients(directory, only, bank, drafter, draft_count)
    except WorkbenchError as error:
        raise UnusableError(str(error)) from error
    with service_errors(connection.target), connection.service(*SERVE_ARGUMENTS) as options:
        visits, model = asyncio.run(_visit_all(options, patients, propose=propose is not None, concurrency=concurrency))
    diffs = _diffs(patients, visits)
    if propose is not None:
        _write_diff(propose, "".join(diffs.values()), visits)
    document = visits_document(visits, diffs, drafter.name if drafter else "")
    if report is not None:
        report.write_text(render_visits(document, f"{directory}, routed by {model}"), encoding="utf-8")
    if as_json:
        print_json(document)
    else:
        _print(visits)
    if any(seen.findings for seen in visits):
        click.get_current_context().exit(EXIT_FAILED)


def _drafter(url: str | None, model: str | None, key_env: str | None) -> Drafter | None:
    if url is None and model is None and key_env is None:
        return None
    if not url or not model:
        msg = "--draft-url and --draft-model belong together: the endpoint, and its model that drafts"
        raise click.UsageError(msg)
    key = os.environ.get(key_env, "").strip() if key_env else ""
    if key_env and not key:
        msg = f"the environment variable {key_env} is not set; put the endpoint's key there"
        raise click.BadParameter(msg, param_hint="--draft-key-env")
    return Drafter(url, model, key)


def _patients(
    directory: Path, only: str, bank: Sequence[PolicyCase], drafter: Drafter | None, count: int
) -> list[_Patient]:
    files = read_policy_files(directory)
    policy_sets = {name: file.policy_set for name, file in files.items()}
    suites = [read_suite(path, policy_sets) for path in suite_files(directory)]
    if only and only not in files:
        msg = f"no policy set {only} in {directory}"
        raise click.UsageError(msg)
    patients = []
    for name, file in files.items():
        if only in {"", name}:
            own = [suite for suite in suites if suite.policy_set_id == name]
            drafted = draft_cases(file.policy_set, drafter, count, note) if drafter else ()
            patients.append(_Patient(file, gather_cases(file.policy_set, own, bank, drafted)))
    return patients


async def _visit_all(
    options: ClientOptions, patients: Sequence[_Patient], *, propose: bool, concurrency: int
) -> tuple[list[Visit], str]:
    """Visit every set, and name the model that decided."""
    models: set[str] = set()
    async with asking(options, concurrency, full=True) as route:

        async def ask(questions: Sequence[tuple[PolicySet, PolicyCase]]) -> list[Asked]:
            """Route conversations; fails where a call did: a diagnosis from the rest would be about another set."""
            answers = await route([(policy_set, case.messages) for policy_set, case in questions])
            decisions = [_decision(answer) for answer in answers]
            models.update(decision.model_version for decision in decisions)
            return [Asked(case, _verdict(decided)) for (_, case), decided in zip(questions, decisions, strict=True)]

        visits = [await visit(each.file.policy_set, each.cases, ask, propose=propose) for each in patients]
    return visits, " and ".join(sorted(models)) or "no model"


def _decision(answer: Answer) -> v1.Decision:
    if isinstance(answer, Failure):
        error = RoutingError(answer.code, answer.message)
        error.reason = answer.reason
        raise error
    return answer.decision


def _verdict(decision: v1.Decision) -> Verdict:
    return Verdict(decision.route_id, {each.route_id: each.probability for each in decision.candidates})


def _diffs(patients: Sequence[_Patient], visits: Sequence[Visit]) -> dict[str, str]:
    """Write the wordings that are better as diffs, by policy set."""
    diffs = {}
    for patient, seen in zip(patients, visits, strict=True):
        if seen.accepted:
            path = patient.file.path
            before = path.read_text(encoding="utf-8")
            try:
                diffs[seen.policy_set.id] = file_diff(path, before, edited(before, seen.proposed))
            except WorkbenchError as error:
                note(f"{path}: {error}")
    return diffs


def _write_diff(target: Path, diff: str, visits: Sequence[Visit]) -> None:
    """Write what is better; no file where nothing is, so that an old one is never taken for it."""
    target.unlink(missing_ok=True)
    if diff:
        target.write_text(diff, encoding="utf-8")
        note(f"{target}: review it, then git apply {target}")
    elif not any(seen.accepted for seen in visits):
        trial_count = sum(seen.trial_count for seen in visits)
        note(f"no better wording among {trial_count} that were tried; no diff was written")


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
    kind = asked.case.topic or (asked.case.source.value if asked.case.source is Source.DRAFTED else "")
    named = f"{text} ({kind})" if kind else text
    return f"{named} → {winner}, not {expected}" if asked.case.is_labelled else f"{named} → {winner}"
