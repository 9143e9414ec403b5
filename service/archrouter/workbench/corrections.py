"""Corrections: what somebody says should have been decided, as examples of routes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from archrouter.client import parse_conversation
from archrouter.domain.policy import MAX_EXAMPLE_CHARACTERS, MAX_EXAMPLES, NO_MATCH_ID, PolicySet, RoutePolicy
from archrouter.strict_json import Fields, InvalidDataError, parse_object
from archrouter.v1 import Role
from archrouter.workbench.policies import WorkbenchError


@dataclass(frozen=True, slots=True)
class Correction:
    """A decision that was wrong.

    Attributes:
        policy_set_id: The set that decided; empty for the only one.
        text: The latest message of the user.
        route: Id of the right route, or ``other``.
        chosen: Id of the wrong one; empty where it is not said, or none was chosen.
    """

    policy_set_id: str
    text: str
    route: str
    chosen: str = ""


def read_corrections(path: Path) -> tuple[Correction, ...]:
    """Read JSON Lines of ``messages``, ``route`` and, where they are known, ``policy_set`` and ``chosen``.

    Args:
        path: The file.

    Returns:
        The corrections, at least one.

    Raises:
        WorkbenchError: For the first thing that is wrong.
    """
    found = []
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
            if line.strip():
                found.append(_correction(line, f"{path}:{number}"))
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read as UTF-8 text: {error}"
        raise WorkbenchError(msg) from error
    if not found:
        msg = f"{path}: holds no correction"
        raise WorkbenchError(msg)
    return tuple(found)


def learned(policy_set: PolicySet, corrections: Sequence[Correction]) -> tuple[PolicySet, int]:
    """Turn corrections into examples of the right route, and into what the wrong one is not.

    Args:
        policy_set: The set that decided.
        corrections: Of this set; their routes are routes of it.

    Returns:
        The set with its new examples, and how many texts found no room: too long, or their route has `MAX_EXAMPLES`.
    """
    routes = {route.id: route for route in policy_set.routes}
    left_out = 0
    for one in corrections:
        for route_id, field in ((one.route, "examples"), (one.chosen, "not_examples")):
            if route_id and route_id != NO_MATCH_ID:
                changed = _with_example(routes[route_id], field, one.text)
                left_out += changed is None
                routes[route_id] = changed or routes[route_id]
    return replace(policy_set, routes=tuple(routes.values())), left_out


def _with_example(route: RoutePolicy, field: str, text: str) -> RoutePolicy | None:
    """Add a text, unless it is there; None where there is no room, or the route says the opposite of it already."""
    lists = {"examples": route.examples, "not_examples": route.not_examples}
    if text in lists[field]:
        return route
    opposite = lists["not_examples" if field == "examples" else "examples"]
    if len(lists[field]) >= MAX_EXAMPLES or len(text) > MAX_EXAMPLE_CHARACTERS or text in opposite:
        return None
    lists[field] = (*lists[field], text)
    return replace(route, examples=lists["examples"], not_examples=lists["not_examples"])


def _correction(line: str, place: str) -> Correction:
    try:
        fields = parse_object(line)
        optional = {name: fields.text(name) if name in fields.values else "" for name in ("policy_set", "chosen")}
        return Correction(optional["policy_set"], _latest_text(fields), fields.text("route"), optional["chosen"])
    except (InvalidDataError, ValueError) as error:
        msg = f"{place}: {error}"
        raise WorkbenchError(msg) from error


def _latest_text(fields: Fields) -> str:
    if "messages" not in fields.values:
        raise InvalidDataError(path="messages", problem="is missing; write the conversation that was decided")
    messages = parse_conversation(fields.values["messages"]).messages
    texts = [one.content.strip() for one in messages if one.role == Role.ROLE_USER and one.content.strip()]
    if not texts:
        raise InvalidDataError(path="messages", problem="has no message of the user; the route follows the latest")
    return texts[-1]
