"""``archrouter route``."""

import asyncio
import sys
from collections.abc import Sequence

import click
from google.protobuf import json_format
from rich.table import Table

from archrouter import v1
from archrouter.cli.connection import DEFAULT_TARGET, Connection, target_options
from archrouter.cli.console import print_json, print_table
from archrouter.cli.exits import service_errors
from archrouter.client import Conversation, RoutingClient, parse_conversation
from archrouter.domain.policy import NO_MATCH_ID
from archrouter.strict_json import InvalidDataError, parse_json
from archrouter.suites.requests import policy_set_name
from archrouter.suites.run import outcome_name
from archrouter.workbench.formats import percent, shortened

EPILOG = """\b
Examples:
  archrouter route --policy-set llm-gateway "my import job dies, what's wrong?"
  archrouter route "Write a haiku" "Snow on the pine …" "now in French" --explain
  echo '[{"role": "user", "content": "hi"}]' | archrouter route --full --json -
"""
STANDARD_INPUT = "-"
_SHOWN_CHARACTERS = 60


@click.command(short_help="Ask a service for one decision.", epilog=EPILOG)
@click.argument("messages", nargs=-1, required=True, metavar="MESSAGE... | -")
@click.option("--policy-set", metavar="ID", default="", help="A loaded policy set; the service's default otherwise.")
@click.option("--min-confidence", type=click.FloatRange(0, 1), help="Threshold over those of the policies.")
@click.option("--full", is_flag=True, help="Show every candidate, and where the time went.")
@click.option("--explain", is_flag=True, help="Show also which message decided; takes several times as long.")
@target_options(default=DEFAULT_TARGET)
@click.option("--json", "as_json", is_flag=True, help="Print the decision as one JSON document.")
def route(
    connection: Connection,
    messages: Sequence[str],
    *,
    policy_set: str,
    min_confidence: float | None,
    full: bool,
    explain: bool,
    as_json: bool,
) -> None:
    """Ask a service for the decision on one conversation.

    Messages alternate between assistant and user, the last is the user's. With - the conversation is read from
    standard input: the messages of an OpenAI-style request, as a JSON list or as "messages" of an object.
    """
    request = v1.SelectRouteRequest(
        messages=_conversation(messages).messages,
        options=v1.RoutingOptions(min_confidence=min_confidence),
        view=_view(full=full, explain=explain),
    )
    if policy_set:
        request.policy_set = policy_set_name(policy_set)

    async def ask() -> v1.Decision:
        """Call with a client of its own."""
        async with RoutingClient(connection.client_options()) as client:
            return (await client.select_route(request)).decision

    with service_errors(connection.target):
        decision = asyncio.run(ask())
    if as_json:
        print_json(json_format.MessageToDict(decision, always_print_fields_with_no_presence=True))
    else:
        _print(decision)
        if decision.HasField("explanation"):
            _print_explanation(decision.explanation, request)


def _view(*, full: bool, explain: bool) -> v1.DecisionView.ValueType:
    if explain:
        return v1.DecisionView.DECISION_VIEW_EXPLAIN
    return v1.DecisionView.DECISION_VIEW_FULL if full else v1.DecisionView.DECISION_VIEW_BASIC


def _conversation(texts: Sequence[str]) -> Conversation:
    if list(texts) == [STANDARD_INPUT]:
        return _read_conversation(sys.stdin.read())
    roles = ["user" if (len(texts) - index) % 2 else "assistant" for index in range(len(texts))]
    return parse_conversation([{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)])


def _read_conversation(text: str) -> Conversation:
    try:
        document = parse_json(text)
        return parse_conversation(document["messages"] if isinstance(document, dict) else document)
    except KeyError:
        msg = "standard input: messages: is missing"
        raise click.UsageError(msg) from None
    except (InvalidDataError, ValueError) as error:
        msg = f"standard input: {error}"
        raise click.UsageError(msg) from error


def _print(decision: v1.Decision) -> None:
    table = Table(show_header=False, box=None)
    table.add_column(style="dim")
    table.add_column()
    table.add_row("outcome", outcome_name(decision.outcome))
    table.add_row("route", decision.route_id or NO_MATCH_ID, style="bold")
    table.add_row("models", ", ".join(target.model for target in decision.models))
    table.add_row("confidence", percent(decision.confidence))
    table.add_row("reasons", ", ".join(_reason_name(reason) for reason in decision.reasons))
    table.add_row("policy set", f"{decision.policy_set} @ {decision.policy_set_revision}")
    table.add_row("model", decision.model_version)
    for warning in decision.warnings:
        table.add_row("warning", warning.message, style="yellow")
    print_table(table)
    if decision.candidates:
        candidates = Table("candidate", "probability", "log probability", "exact")
        for candidate in decision.candidates:
            candidates.add_row(
                candidate.route_id or NO_MATCH_ID,
                percent(candidate.probability),
                f"{candidate.log_probability:.4f}",
                "yes" if candidate.exact else "no",
            )
        print_table(candidates)
    if decision.HasField("timing"):
        click.echo(f"decided in {decision.timing.total_duration.ToTimedelta().total_seconds() * 1000:.1f} ms")


def _print_explanation(explanation: v1.Explanation, request: v1.SelectRouteRequest) -> None:
    """Show what each message adds to the probability behind the decision; the one that decided is marked."""
    runner_up = explanation.runner_up
    click.echo(f"leads {runner_up.route_id or NO_MATCH_ID}, the runner-up, by {percent(explanation.lead)}")
    if not explanation.message_effects:
        return
    deciding = explanation.deciding_message_index if explanation.HasField("deciding_message_index") else None
    table = Table("", "message", "adds", "another leads without it")
    for effect in explanation.message_effects:
        table.add_row(
            "*" if effect.message_index == deciding else "",
            shortened(request.messages[effect.message_index].content, _SHOWN_CHARACTERS),
            f"{100 * effect.probability_change:+.1f} %",
            "yes" if effect.changes_leader else "no",
        )
    print_table(table)


def _reason_name(reason: v1.DecisionReason.ValueType) -> str:
    """Write a reason in words; one that this release does not know by its number."""
    known = reason in v1.DecisionReason.values()
    name = v1.DecisionReason.Name(reason) if known else str(reason)
    return name.removeprefix("DECISION_REASON_").lower().replace("_", " ")
