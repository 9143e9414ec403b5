"""``archrouter learn``."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from archrouter.cli.asking import SERVE_ARGUMENTS, asking
from archrouter.cli.connection import EXISTING_FILE, Connection, service_options
from archrouter.cli.console import note
from archrouter.cli.exits import EXIT_FAILED, UnusableError, service_errors
from archrouter.cli.policy_paths import EXISTING_PATHS
from archrouter.client import ClientOptions
from archrouter.domain.policy import NO_MATCH_ID, PolicySet
from archrouter.suites.calls import DEFAULT_CONCURRENCY, Answered
from archrouter.workbench.corrections import Correction, learned, read_corrections
from archrouter.workbench.edits import edited, file_diff
from archrouter.workbench.policies import PolicyFile, WorkbenchError, read_policy_files
from archrouter.workbench.traffic import Turn, read_turns, set_of

EPILOG = """\b
Examples:
  archrouter learn policies --corrections corrections.jsonl --suites policies --embedded
  archrouter learn policies/support.yaml --corrections corrections.jsonl --suites policies --embedded --write
"""


@dataclass(frozen=True, slots=True)
class _Lesson:
    """What corrections make of one set."""

    file: PolicyFile
    intended: PolicySet
    before: str
    after: str


@click.command(short_help="Turn corrections into examples.", epilog=EPILOG)
@click.argument("policies", type=EXISTING_PATHS)
@click.option(
    "--corrections",
    type=EXISTING_FILE,
    required=True,
    help="JSON lines of messages and the right route; also policy_set, and the route that was chosen.",
)
@click.option("--suites", type=EXISTING_PATHS, required=True, help="Suites or labelled records that must not suffer.")
@click.option("--concurrency", type=click.IntRange(min=1), default=DEFAULT_CONCURRENCY, show_default=True)
@click.option("--write", is_flag=True, help="Write the examples into the policy files.")
@service_options()
def learn(
    connection: Connection,
    policies: Path,
    *,
    corrections: Path,
    suites: Path,
    concurrency: int,
    write: bool,
) -> None:
    """Turn corrections into examples of the right routes, unless that makes the suites worse.

    The latest message of the user becomes an example of the right route, and what the chosen one is not. The suites are
    routed before and after; where fewer cases pass afterwards nothing is written and the exit code is 1.
    """
    try:
        lessons = _lessons(read_policy_files(policies), read_corrections(corrections))
        turns = _cases(suites, lessons)
        with service_errors(connection.target), connection.service(*SERVE_ARGUMENTS) as options:
            before, after = asyncio.run(_passed(options, turns, concurrency))
    except WorkbenchError as error:
        raise UnusableError(str(error)) from error
    click.echo("".join(file_diff(one.file.path, one.before, one.after) for one in lessons), nl=False)
    note(f"{before} of {len(turns)} cases pass before, {after} after")
    if after < before:
        note("the suites get worse; nothing was written: reword the descriptions, or leave corrections out")
        click.get_current_context().exit(EXIT_FAILED)
    for lesson in lessons if write else ():
        lesson.file.path.write_text(lesson.after, encoding="utf-8")
        note(f"{lesson.file.path}: written")


def _cases(suites: Path, lessons: Sequence[_Lesson]) -> list[tuple[Turn, _Lesson]]:
    """Read the labelled turns of the sets that learn; all else that stands beside them is no test."""
    by_set = {lesson.file.policy_set.id: lesson for lesson in lessons}
    labelled = [turn for turn in read_turns(suites) if turn.expected is not None]
    cases = [(turn, lesson) for turn in labelled if (lesson := set_of(turn.policy_set_id, by_set))]
    if not cases:
        msg = f"{suites}: no case is for {', '.join(by_set)}"
        raise WorkbenchError(msg)
    return cases


def _lessons(files: Mapping[str, PolicyFile], corrections: Sequence[Correction]) -> list[_Lesson]:
    by_set: dict[str, list[Correction]] = {}
    for number, one in enumerate(corrections, start=1):
        file = set_of(one.policy_set_id, files)
        if file is None:
            msg = f"correction {number}: policy_set: {one.policy_set_id!r} is none of {', '.join(files)}"
            raise WorkbenchError(msg)
        for route_id in (one.route, one.chosen):
            if route_id not in ("", NO_MATCH_ID) and file.policy_set.route(route_id) is None:
                msg = (
                    f"correction {number}: {route_id!r} is no route of {file.policy_set.id}; name one, or {NO_MATCH_ID}"
                )
                raise WorkbenchError(msg)
        by_set.setdefault(file.policy_set.id, []).append(one)
    return [_lesson(files[policy_set_id], own) for policy_set_id, own in by_set.items()]


def _lesson(file: PolicyFile, corrections: Sequence[Correction]) -> _Lesson:
    intended, left_out = learned(file.policy_set, corrections)
    if left_out:
        note(f"{file.path}: {left_out} texts were left out: too long, or their route has no room for them")
    before = file.path.read_text(encoding="utf-8")
    return _Lesson(file, intended, before, edited(before, intended))


async def _passed(options: ClientOptions, turns: Sequence[tuple[Turn, _Lesson]], concurrency: int) -> tuple[int, int]:
    """Count the cases that pass under the old sets, and under the new ones; a call that failed does not."""
    questions = [(one, turn.messages) for turn, lesson in turns for one in (lesson.file.policy_set, lesson.intended)]
    async with asking(options, concurrency, total=len(questions)) as ask:
        answers = await ask(questions)
    expected = [turn.expected for turn, _ in turns for _ in range(2)]
    passed = [
        isinstance(answer, Answered) and (answer.decision.route_id or NO_MATCH_ID) == route
        for route, answer in zip(expected, answers, strict=True)
    ]
    return sum(passed[::2]), sum(passed[1::2])
