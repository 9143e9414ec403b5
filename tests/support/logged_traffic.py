"""Traffic that a router with a fake model decided, as it stands in a decision log."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from random import Random

from tests.support.fake_backend import FakeBackend
from tests.support.fakes import FakeClock, FakeSource

from archrouter.application.policy_store import PolicyStore
from archrouter.application.router import RequestLimits, Router
from archrouter.application.select_route import Decision, SelectRoute
from archrouter.decision_log.record import DecisionRecord, LoggedDecision, TextMode, record_of
from archrouter.domain.conversation import Message, Role
from archrouter.domain.policy import ModelTarget, PolicySet, RoutePolicy

_WORDS = ("red", "blue", "green", "gold", "pink", "grey", "teal", "lime")


def coloured_set(policy_set_id: str = "paint", *, min_confidence: float | None = 0.5, model: str = "m/a") -> PolicySet:
    """Make a set of two domains with their own policies and four actions each; more candidates than a log keeps."""
    routes = []
    for domain, words in (("warm", _WORDS[:4]), ("cold", _WORDS[4:])):
        routes.append(RoutePolicy(domain, domain, "", f"everything {domain}", (ModelTarget("m/domain"),)))
        routes.extend(
            RoutePolicy(f"{domain}_{word}", domain, word, f"the colour {word}", (ModelTarget(model),)) for word in words
        )
    return PolicySet(policy_set_id, "", tuple(routes), (ModelTarget("m/fallback"),), min_confidence)


def utterances(count: int, seed: int = 7) -> list[str]:
    """Make up messages that name some colours, and some that name none."""
    random = Random(seed)  # noqa: S311  # reproducible data, not a secret
    return [
        f"number {index} {' '.join(random.sample((*_WORDS, 'warm', 'cold', 'nothing'), random.randint(1, 3)))}"
        for index in range(count)
    ]


async def decisions(policy_set: PolicySet, texts: Sequence[str]) -> list[tuple[SelectRoute, Decision]]:
    """Decide messages as a service would."""
    limits = RequestLimits(max_messages=8, max_message_characters=1000, max_batch_size=1, max_inline_routes=64)
    backend, clock = FakeBackend(), FakeClock()
    store = PolicyStore(FakeSource(), backend, clock, default_id="")
    router = Router(store, backend, clock, limits, min_budget_s=0, deadline_margin_s=0)
    asked = [
        SelectRoute(f"id-{index}", (Message(Role.USER, text),), inline_policy_set=policy_set)
        for index, text in enumerate(texts)
    ]
    return [(question, await router.select_route(question, budget_s=1.0)) for question in asked]


async def records(
    policy_set: PolicySet, texts: Sequence[str], text: TextMode = "hash", shadows: Sequence[Decision | None] = ()
) -> list[DecisionRecord]:
    """Decide messages and write them down, with what was decided beside each."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        record_of(LoggedDecision(now, question, decision, "", "", shadow), text, b"salt" * 4)
        for (question, decision), shadow in zip_longest(await decisions(policy_set, texts), shadows)
    ]


def write_log(path: Path, lines: Sequence[DecisionRecord]) -> Path:
    """Write records as a service does."""
    path.write_text("".join(f"{line.model_dump_json()}\n" for line in lines), encoding="utf-8")
    return path
