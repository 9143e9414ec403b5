"""``archrouter impact``."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from rich.table import Table

from archrouter.cli.asking import SERVE_ARGUMENTS, asking
from archrouter.cli.connection import Connection, target_options
from archrouter.cli.console import note, print_json, print_table
from archrouter.cli.exits import UnusableError, service_errors
from archrouter.cli.policy_paths import EXISTING_PATHS
from archrouter.client import ClientOptions
from archrouter.decision_log.reader import read_decisions
from archrouter.decision_log.record import DecisionRecord
from archrouter.domain.conversation import Message, Role
from archrouter.suites.calls import DEFAULT_CONCURRENCY, Answered, Failure
from archrouter.suites.run import outcome_name
from archrouter.workbench.formats import percent, shortened
from archrouter.workbench.impact import ComparedTurn, Impact, Move, Share, Side, impact_of
from archrouter.workbench.impact_report import MOVE_COUNT, impact_document, render_impact
from archrouter.workbench.policies import Pair, WorkbenchError, pair_sets, read_policy_files
from archrouter.workbench.prices import read_prices
from archrouter.workbench.replay import OTHER_SET, logged_side, replay
from archrouter.workbench.traffic import Turn, read_turns, set_of

EPILOG = """\b
Examples:
  archrouter impact policies new-policies --conversations traffic.jsonl --embedded
  archrouter impact policies new-policies --log decisions.jsonl
  archrouter impact old.yaml new.yaml --log decisions.jsonl --embedded --prices prices.yaml --report impact.html
"""
CALL_TIMEOUT_S = 30.0
NO_TEXT = "whose text the log does not keep"
_SHOWN_CHARACTERS = 60
_EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(short_help="Measure what new policies would change.", epilog=EPILOG)
@click.argument("old", type=EXISTING_PATHS)
@click.argument("new", type=EXISTING_PATHS)
@click.option("--conversations", type=EXISTING_PATHS, help="Records, requests or suites to route by both: DIR|FILE.")
@click.option("--log", type=click.Path(path_type=Path), help="Decision log of a service with OLD.")
@click.option("--prices", type=_EXISTING_FILE, help="YAML file of prices per million tokens.")
@click.option(
    "--output-tokens", type=click.IntRange(min=0), default=300, show_default=True, help="Assumed length of an answer."
)
@click.option(
    "--default-min-confidence",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="routing.default_min_confidence of the service that wrote the log.",
)
@click.option("--concurrency", type=click.IntRange(min=1), default=DEFAULT_CONCURRENCY, show_default=True)
@click.option("--embedded", is_flag=True, help="Start a service for this command, with Triton on this machine's CPU.")
@target_options(timeout_s=CALL_TIMEOUT_S)
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write one HTML page.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def impact(  # noqa: PLR0913  # one parameter for each option
    connection: Connection,
    old: Path,
    new: Path,
    *,
    conversations: Path | None,
    log: Path | None,
    prices: Path | None,
    output_tokens: int,
    default_min_confidence: float,
    concurrency: int,
    report: Path | None,
    as_json: bool,
) -> None:
    """Measure what policies NEW in place of OLD would change: routes, models, price.

    Each is a policy file or a folder of them. Conversations, and those whose text a decision log keeps, are routed by
    both. A log alone, without a service, is decided again from its probabilities: that shows what thresholds, models
    and fallbacks change, and says which decisions it cannot tell.
    """
    if (conversations is None) == (log is None):
        msg = "say which traffic: --conversations DIR|FILE or --log LOG, one of the two"
        raise click.UsageError(msg)
    with_service = connection.embedded or bool(connection.target)
    if conversations is not None and not with_service:
        msg = "conversations are routed: choose a service, --target HOST:PORT or --embedded"
        raise click.UsageError(msg)
    try:
        pairs = pair_sets(read_policy_files(old), read_policy_files(new))
        price_list = read_prices(prices, output_tokens) if prices else None
        records = _records(log) if log else []
        if log and not with_service:
            replayed = replay(records, pairs, default_min_confidence)
            decided = [logged_side(record) for record in records if record.policy_set in pairs]
            found = impact_of(replayed.turns, replayed.unknown, price_list, decided)
        else:
            turns, unknown = _kept(records) if conversations is None else (read_turns(conversations), Counter[str]())
            with service_errors(connection.target), connection.service(*SERVE_ARGUMENTS) as options:
                compared, lost = asyncio.run(_compare(options, turns, pairs, concurrency))
            found = impact_of(compared, unknown + lost, price_list)
    except WorkbenchError as error:
        raise UnusableError(str(error)) from error
    subject = f"{old} → {new} on {conversations or log}"
    if report is not None:
        report.write_text(render_impact(found, subject), encoding="utf-8")
    if as_json:
        print_json(impact_document(found, subject))
    else:
        _print(found)


def _records(log: Path) -> list[DecisionRecord]:
    try:
        lines = list(read_decisions(log))
    except OSError as error:
        msg = f"{log}: {error.strerror or error}"
        raise WorkbenchError(msg) from error
    records = [line for line in lines if isinstance(line, DecisionRecord)]
    if len(records) < len(lines):
        note(f"warning: {len(lines) - len(records)} of {len(lines)} lines of the log hold no record and were left out")
    if not records:
        msg = f"{log}: holds no decision"
        raise WorkbenchError(msg)
    return records


def _kept(records: Sequence[DecisionRecord]) -> tuple[tuple[Turn, ...], Counter[str]]:
    """Take the conversations whose text was kept, and count the rest."""
    turns = tuple(
        Turn(one.decision_id, one.policy_set, tuple(Message(Role(part.role), part.content) for part in kept))
        for one in records
        if (kept := one.conversation.messages) is not None
    )
    if not turns:
        msg = "the log keeps no text (decision_log.text); leave --target and --embedded out to use its probabilities"
        raise WorkbenchError(msg)
    return turns, Counter({NO_TEXT: len(records) - len(turns)} if len(turns) < len(records) else {})


async def _compare(
    options: ClientOptions, turns: Sequence[Turn], pairs: Mapping[str, Pair], concurrency: int
) -> tuple[list[ComparedTurn], Counter[str]]:
    """Route every turn by both sets; count those that no set, or no answer, is there for."""
    matched = [(turn, pair) for turn in turns if (pair := set_of(turn.policy_set_id, pairs))]
    unknown = Counter({OTHER_SET: len(turns) - len(matched)} if len(matched) < len(turns) else {})
    if not matched:
        named = ", ".join(sorted({turn.policy_set_id or "no policy set" for turn in turns}))
        msg = f"the conversations name {named}; the policies are {', '.join(pairs)}"
        raise WorkbenchError(msg)
    questions = [(one, turn.messages) for turn, pair in matched for one in (pair.old, pair.new)]
    async with asking(options, concurrency, total=len(questions)) as ask:
        answers = await ask(questions)
    compared = []
    for (turn, pair), before, after in zip(matched, answers[::2], answers[1::2], strict=True):
        failed = next((one for one in (before, after) if isinstance(one, Failure)), None)
        if failed is not None:
            unknown[f"failed with {failed.cause}"] += 1
        elif isinstance(before, Answered) and isinstance(after, Answered):
            tokens = before.decision.usage.prompt_token_count
            sides = _side(before), _side(after)
            compared.append(ComparedTurn(turn.id, pair.old.id, *sides, turn.messages[-1].content, tokens))
    return compared, unknown


def _side(answer: Answered) -> Side:
    decision = answer.decision
    outcome = outcome_name(decision.outcome).lower()
    return Side(outcome, decision.route_id, decision.models[0].model, decision.confidence)


def _print(found: Impact) -> None:
    figures = Table("", "turns", "share", "95 % interval", title=f"{len(found.turns)} turns under both")
    for name, share in (("change route", found.routes), ("change model", found.models)):
        figures.add_row(name, str(share.count), percent(share.value), _interval(share))
    print_table(figures)
    for kind, shares in found.decided.items():
        table = Table(kind, "turns", "share", "95 % interval", title=f"Decided by OLD: {kind}s")
        for name, share in shares[:MOVE_COUNT]:
            table.add_row(name, str(share.count), percent(share.value), _interval(share))
        print_table(table)
    _print_moves("Changed routes", found.route_moves)
    _print_moves("Changed models", found.model_moves)
    if found.telling:
        telling = Table("conversation", "latest message", "before", "after", title="Most telling changes")
        for turn in found.telling:
            sides = (f"{side.route} {percent(side.confidence)}" for side in (turn.before, turn.after))
            telling.add_row(turn.id, shortened(turn.text, _SHOWN_CHARACTERS), *sides)
        print_table(telling)
    if found.price:
        price = found.price
        click.echo(
            f"price of {price.turn_count} turns, {price.prices.output_tokens} output tokens assumed for each: "
            f"{price.before:.4g} before, {price.after:.4g} after {price.prices.currency}".rstrip()
        )
        if price.unpriced:
            note(f"without a price, so left out: {', '.join(price.unpriced)}")
    for reason, count in found.unknown.items():
        note(f"cannot be said for {count} turns: {reason}")


def _print_moves(title: str, moves: Sequence[Move]) -> None:
    if not moves:
        return
    table = Table("policy set", "from", "to", "turns", "share", "95 % interval", title=title)
    for move in moves[:MOVE_COUNT]:
        share = move.share
        table.add_row(
            move.policy_set_id, move.before, move.after, str(share.count), percent(share.value), _interval(share)
        )
    print_table(table)


def _interval(share: Share) -> str:
    return f"{percent(share.interval[0])} to {percent(share.interval[1])}" if share.interval else ""
