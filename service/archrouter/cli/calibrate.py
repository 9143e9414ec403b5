"""``archrouter calibrate``."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
from rich.table import Table

from archrouter import v1
from archrouter.cli.asking import SERVE_ARGUMENTS, asking
from archrouter.cli.connection import Connection, service_options
from archrouter.cli.console import note, print_json, print_table
from archrouter.cli.exits import EXIT_FAILED, FailedError, UnusableError, service_errors
from archrouter.cli.policy_paths import EXISTING_PATHS
from archrouter.client import ClientOptions
from archrouter.domain.policy import MODELS_JOINT, NO_MATCH_ID, PolicySet, ThresholdPromise
from archrouter.suites.calls import DEFAULT_CONCURRENCY, Answered, Failure
from archrouter.workbench.edits import edited, file_diff
from archrouter.workbench.formats import percent
from archrouter.workbench.policies import PolicyFile, WorkbenchError, read_policy_files
from archrouter.workbench.promise import Case, Rung, Thresholds, find_thresholds, least_case_count
from archrouter.workbench.traffic import Turn, read_turns, set_of

EPILOG = """\b
Examples:
  archrouter calibrate policies --cases labelled --max-error 2% --embedded
  archrouter calibrate policies/support.yaml --cases labelled.jsonl --max-error 5% --target 127.0.0.1:50051 --write
"""


def _share(value: str | float) -> float:
    """Read a share in (0, 1): ``0.02``, or ``2%``."""
    text = str(value).strip()
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0.0 < share < 1.0:
        msg = f"{text!r} is no share between 0 and 1; write 2% or 0.02"
        raise click.BadParameter(msg)
    return share


@dataclass(frozen=True, slots=True)
class _Calibrated:
    """What came of one set; `intended` is None where the promise cannot be kept."""

    file: PolicyFile
    found: Thresholds
    case_count: int
    model_version: str
    intended: PolicySet | None = None
    text: str = ""


@click.command(short_help="Choose thresholds that keep a promised error.", epilog=EPILOG)
@click.argument("policies", type=EXISTING_PATHS)
@click.option("--cases", type=EXISTING_PATHS, required=True, help="Labelled records or suites: DIR|FILE.")
@click.option(
    "--max-error", type=_share, metavar="SHARE", required=True, help="Wrong routes among the chosen ones, at most: 2%."
)
@click.option(
    "--level", type=_share, metavar="SHARE", default=0.9, show_default=True, help="How surely the promise is to hold."
)
@click.option("--route-cases", type=click.IntRange(min=1), help="Cases from which a route gets a threshold of its own.")
@click.option("--concurrency", type=click.IntRange(min=1), default=DEFAULT_CONCURRENCY, show_default=True)
@click.option("--write", is_flag=True, help="Write the thresholds into the policy files.")
@service_options()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def calibrate(  # noqa: PLR0913  # one parameter for each option
    connection: Connection,
    policies: Path,
    *,
    cases: Path,
    max_error: float,
    level: float,
    route_cases: int | None,
    concurrency: int,
    write: bool,
    as_json: bool,
) -> None:
    """Choose the thresholds that route most turns while at most a promised share of the chosen routes is wrong.

    Labelled turns are routed through the service; the promise holds for traffic like them, with the given level. What
    changes in the policy files is shown as a diff, and written with --write, along with what was promised:
    `archrouter check` warns once routes or thresholds have changed since. Exit code 1 when a set cannot keep it.
    """
    try:
        files, turns = read_policy_files(policies), read_turns(cases)
        questions = _questions(files, turns)
        with service_errors(connection.target), connection.service(*SERVE_ARGUMENTS) as options:
            decisions = asyncio.run(_ask(options, questions, concurrency))
        results = [
            _calibrated(file, questions, decisions, max_error=max_error, level=level, route_cases=route_cases)
            for file in files.values()
            if any(policy_set is file.policy_set for _, policy_set in questions)
        ]
        diffs = [_diff(result) for result in results]
    except WorkbenchError as error:
        raise UnusableError(str(error)) from error
    if as_json:
        print_json([_record(result) for result in results])
    else:
        _print(results, 1 - level)
        click.echo("".join(diffs), nl=False)
    for result in results:
        if write and result.intended is not None:
            result.file.path.write_text(result.text, encoding="utf-8")
            note(f"{result.file.path}: written")
    missed = [result.file.policy_set.id for result in results if result.intended is None]
    if missed:
        least = least_case_count(max_error, level)
        note(
            f"no threshold keeps {percent(max_error)} for {', '.join(missed)}: it takes at least {least} turns "
            "that get a route, all right; add cases, or promise less"
        )
        click.get_current_context().exit(EXIT_FAILED)


def _questions(files: Mapping[str, PolicyFile], turns: Sequence[Turn]) -> list[tuple[Turn, PolicySet]]:
    found = [(turn, file.policy_set) for turn in turns if turn.expected and (file := set_of(turn.policy_set_id, files))]
    if not found:
        msg = f"no labelled turn is for {', '.join(files)}; a record names its set in policy_set, a suite too"
        raise WorkbenchError(msg)
    if len(found) < len(turns):
        note(f"{len(turns) - len(found)} of {len(turns)} turns have no label, or are for other policy sets")
    for turn, policy_set in found:
        if turn.expected not in (None, NO_MATCH_ID) and policy_set.route(str(turn.expected)) is None:
            msg = f"{turn.id}: {turn.expected!r} is no route of {policy_set.id}; correct the label, or the policies"
            raise WorkbenchError(msg)
    return found


async def _ask(
    options: ClientOptions, questions: Sequence[tuple[Turn, PolicySet]], concurrency: int
) -> list[v1.Decision]:
    """Route every case; without all of them the promise would be about the easy ones."""
    async with asking(options, concurrency, full=True, total=len(questions)) as ask:
        answers = await ask([(policy_set, turn.messages) for turn, policy_set in questions])
    failures = [answer for answer in answers if isinstance(answer, Failure)]
    if failures:
        msg = (
            f"{len(failures)} of {len(answers)} calls failed, the first with {failures[0].cause}: {failures[0].message}"
        )
        raise FailedError(msg)
    return [answer.decision for answer in answers if isinstance(answer, Answered)]


def _calibrated(
    file: PolicyFile,
    questions: Sequence[tuple[Turn, PolicySet]],
    decisions: Sequence[v1.Decision],
    *,
    max_error: float,
    level: float,
    route_cases: int | None,
) -> _Calibrated:
    own = [
        (turn, decision)
        for (turn, policy_set), decision in zip(questions, decisions, strict=True)
        if policy_set is file.policy_set
    ]
    cases = [_case(turn, decision, file.policy_set) for turn, decision in own]
    model_version = MODELS_JOINT.join(sorted({decision.model_version for _, decision in own}))
    found = find_thresholds(file.policy_set, cases, max_error, level, route_cases)
    result = _Calibrated(file, found, len(cases), model_version)
    if found.policy_set is None:
        return result
    promise = ThresholdPromise(max_error, level, len(cases), model_version, found.policy_set.promised_revision)
    intended = replace(found.policy_set, promise=promise)
    return replace(result, intended=intended, text=edited(file.path.read_text(encoding="utf-8"), intended))


def _case(turn: Turn, decision: v1.Decision, policy_set: PolicySet) -> Case:
    known = {candidate.route_id: candidate.probability for candidate in decision.candidates}
    ids = [*(route.id for route in policy_set.routes), ""]
    return Case(np.array([known[route_id] for route_id in ids], dtype=np.float64), str(turn.expected))


def _diff(result: _Calibrated) -> str:
    if result.intended is None:
        return ""
    return file_diff(result.file.path, result.file.path.read_text(encoding="utf-8"), result.text)


def _print(results: Sequence[_Calibrated], doubt: float) -> None:
    table = Table("policy set", "threshold of", "threshold", "cases", "get a route", "wrong of them", "at most")
    for result in results:
        found = result.found
        for name, search in (("the set", found.whole), *found.routes.items()):
            if search.kept is None:
                table.add_row(result.file.policy_set.id, name, "none keeps it", str(result.case_count), "", "", "")
            else:
                rung = search.kept
                threshold, bound = f"{rung.threshold:g}", percent(rung.error_bound(doubt))
                cells = (str(rung.case_count), percent(rung.coverage), percent(rung.error), bound)
                table.add_row(result.file.policy_set.id, name, threshold, *cells)
    print_table(table)


def _record(result: _Calibrated) -> dict[str, object]:
    found = result.found
    return {
        "policy_set": result.file.policy_set.id,
        "file": str(result.file.path),
        "kept": result.intended is not None,
        "case_count": result.case_count,
        "model_version": result.model_version,
        "min_confidence": result.intended.min_confidence if result.intended else None,
        "coverage": found.total.coverage if found.total else None,
        "error": found.total.error if found.total else None,
        "routes": {
            route_id: search.kept.threshold if search.kept else None for route_id, search in found.routes.items()
        },
        "ladder": [_rung(rung) for rung in found.whole.rungs],
    }


def _rung(rung: Rung) -> dict[str, object]:
    return {
        "threshold": rung.threshold,
        "coverage": rung.coverage,
        "routed_count": rung.routed_count,
        "error_count": rung.error_count,
    }
