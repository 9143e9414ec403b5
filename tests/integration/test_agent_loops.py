"""Agent loops over two replicas of the whole service: real sockets, a real Triton, policies that change meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest_asyncio
from structlog.testing import capture_logs
from tests.support.fakes import make_set
from tests.support.served_policies import Running, serving

from archrouter import v1
from archrouter.config import PoliciesSettings, RoutingSettings
from archrouter.domain.decision import DecisionRule, Stickiness
from archrouter.domain.ticket import Tickets

CONVERSATION_COUNT = 40
KEY, NEXT_KEY = "k" * 48, "n" * 48

CODE, TRANSLATION = "Finding and repairing errors in code", "Translating text from one language into another"
POLICIES = """\
policy_set: live
models: {{coder: {{model: vendor/coder}}, general: {{model: vendor/general}}}}
fallback: [general]
routes:
  - {{id: first, description: "{first}", models: [coder]}}
  - {{id: second, description: "{second}", models: [general]}}
"""
ASKS = {
    "first": "my python script crashes with a KeyError, please find and repair the error in it",
    "second": "please translate this text from German into French: guten Morgen",
}
"""What belongs to which route before the policies change; afterwards to the other one."""

TURNS = (
    (v1.TurnKind.TURN_KIND_TOOL_RESULT, "KEPT_FOR_TOOL_RESULT"),
    (v1.TurnKind.TURN_KIND_RETRY, "KEPT_FOR_RETRY"),
    (v1.TurnKind.TURN_KIND_TOOL_RESULT, "KEPT_FOR_TOOL_RESULT"),
)


@dataclass
class Replicas:
    """Two services with one key file, and the folder that both read."""

    services: list[Running]
    folder: Path
    key_file: Path

    async def decide(
        self, index: int, text: str, ticket: str = "", kind: v1.TurnKind.ValueType = v1.TurnKind.TURN_KIND_UNSPECIFIED
    ) -> v1.Decision:
        """Ask one of them."""
        request = v1.SelectRouteRequest(messages=[v1.Message(role=v1.Role.ROLE_USER, content=text)])
        request.options.route_ticket = ticket
        request.options.turn_kind = kind
        stub: v1.RoutingServiceAsyncStub = v1.RoutingServiceStub(self.services[index % 2].channel)
        return (await stub.SelectRoute(request, timeout=10)).decision

    async def exchange_descriptions(self) -> None:
        """Give each route the description of the other, and have both services take it over."""
        (self.folder / "live.yaml").write_text(POLICIES.format(first=TRANSLATION, second=CODE))
        for service in self.services:
            await service.reload()


@pytest_asyncio.fixture
async def replicas(triton_endpoint: str, tmp_path: Path) -> AsyncIterator[Replicas]:
    """Serve twice."""
    folder, key_file = tmp_path / "policies", tmp_path / "keys"
    folder.mkdir()
    (folder / "live.yaml").write_text(POLICIES.format(first=CODE, second=TRANSLATION))
    key_file.write_text(KEY)
    routing = RoutingSettings(ticket_key_file=str(key_file))
    policies = PoliciesSettings(directory=str(folder))
    async with AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(serving(triton_endpoint, policies, tmp_path / f"replica{index}", routing))
            for index in range(2)
        ]
        yield Replicas(services, folder, key_file)


def reasons_of(decision: v1.Decision) -> set[str]:
    """Return the names of a decision's reasons."""
    return {v1.DecisionReason.Name(reason).removeprefix("DECISION_REASON_") for reason in decision.reasons}


async def test_no_loop_flips_on_tool_results_and_retries(replicas: Replicas) -> None:
    """Forty loops go on over a reload that would route each of them anew, every turn on the other replica."""
    routes = [tuple(ASKS)[index % 2] for index in range(CONVERSATION_COUNT)]
    begun = [await replicas.decide(index, ASKS[route]) for index, route in enumerate(routes)]
    await replicas.exchange_descriptions()
    anew = [await replicas.decide(index, ASKS[route]) for index, route in enumerate(routes)]

    tickets = [decision.route_ticket for decision in begun]
    flips, wrong_reasons = [], []
    for turn, (kind, reason) in enumerate(TURNS, start=1):
        for index, route in enumerate(routes):
            decision = await replicas.decide(index + turn, ASKS[route], tickets[index], kind)
            tickets[index] = decision.route_ticket
            if (route, True) != (decision.route_id, decision.kept):
                flips.append((index, turn))
            if not {reason, "ROUTE_TICKET"} <= reasons_of(decision):
                wrong_reasons.append((index, turn))

    assert routes == [decision.route_id for decision in begun]
    assert all(route != decision.route_id for route, decision in zip(routes, anew, strict=True))
    assert [] == flips
    assert [] == wrong_reasons


async def test_a_ticket_that_nobody_here_signed_is_ignored_with_its_cause(replicas: Replicas) -> None:
    """The conversation is decided as if it had just begun."""
    decision = await replicas.decide(0, ASKS["first"], "bm8gdGlja2V0", v1.TurnKind.TURN_KIND_TOOL_RESULT)

    (warning,) = decision.warnings
    assert v1.WarningCode.WARNING_CODE_ROUTE_TICKET_IGNORED == warning.code
    assert {"cause": "malformed"} == dict(warning.metadata)
    assert ("first", False) == (decision.route_id, decision.kept)


async def test_keys_are_rotated_without_losing_a_conversation(replicas: Replicas) -> None:
    """A ticket of the old key is used while that is in the file; a file that cannot be used changes nothing."""
    old_ticket = (await replicas.decide(1, ASKS["first"])).route_ticket

    async def cause_of_the_old() -> list[str]:
        decision = await replicas.decide(1, ASKS["second"], old_ticket, v1.TurnKind.TURN_KIND_TOOL_RESULT)
        return [warning.metadata["cause"] for warning in decision.warnings]

    replicas.key_file.write_text(f"{NEXT_KEY}\n{KEY}\n")
    async with asyncio.timeout(10):
        while not is_signed_by(NEXT_KEY, (await replicas.decide(1, ASKS["first"])).route_ticket):
            await asyncio.sleep(0.05)
    while_both = await cause_of_the_old()
    with capture_logs() as logs:
        replicas.key_file.write_text("too short")
        async with asyncio.timeout(10):
            while "credentials_rejected" not in [log["event"] for log in logs]:
                await asyncio.sleep(0.05)
    after_a_bad_file = await cause_of_the_old()
    replicas.key_file.write_text(NEXT_KEY)
    async with asyncio.timeout(10):
        while not (at_the_end := await cause_of_the_old()):
            await asyncio.sleep(0.05)

    assert ([], [], ["signature"]) == (while_both, after_a_bad_file, at_the_end)


def is_signed_by(key: str, ticket: str) -> bool:
    """Say whether a key made a ticket, whatever it is of."""
    rule = DecisionRule(stickiness=Stickiness(route_ticket=ticket))
    (warning,) = Tickets((key.encode(),)).redeem(rule, make_set("any"), now_s=0.0).warnings
    return warning.metadata["cause"] == "policy_set"
