"""How peers are fed and measured; the peers themselves are libraries of others."""

import gzip
import json
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pytest
from benchmarks.peers.examples import FILES, Examples, read_examples
from benchmarks.peers.peer import Choice, Decider, run_peer
from benchmarks.peers.report import as_document, print_results
from rich.console import Console

from archrouter.domain.conversation import Message, Role
from archrouter.domain.policy import ModelTarget, PolicySet, RoutePolicy
from archrouter.evaluation.dataset import Dataset, Granularity, Label, LabelledConversation
from archrouter.evaluation.turns import Scenario

TARGET = (ModelTarget("vendor/model"),)


def route(domain: str, action: str) -> RoutePolicy:
    """Make a route."""
    return RoutePolicy(f"{domain}_{action}", domain, action, f"About {action} of {domain}", TARGET)


SHIPS = PolicySet("ships", "", (route("ship", "loading"), route("ship", "repair")), TARGET)


def conversation(number: int, *turns: tuple[str, str]) -> LabelledConversation:
    """Make a conversation of user messages with their labels, each answered."""
    messages = [
        message for text, _ in turns for message in (Message(Role.USER, text), Message(Role.ASSISTANT, "Noted."))
    ][:-1]
    labels = tuple(Label(2 * index, label) for index, (_, label) in enumerate(turns))
    return LabelledConversation(f"c{number}", "harbour", "made up", Granularity.FINE, "ships", tuple(messages), labels)


class Keyword:
    """Picks the route whose action is in the latest message."""

    name = "keyword"
    seen = "nothing"

    def set_up(self, policy_set: PolicySet) -> Decider:
        """Remember the set."""
        return _KeywordDecider(policy_set)


class _KeywordDecider:
    def __init__(self, policy_set: PolicySet) -> None:
        self._policy_set = policy_set
        self.longest = 0

    def decide(self, messages: Sequence[Message]) -> Choice:
        found = (route.id for route in self._policy_set.routes if route.action in messages[-1].content)
        return Choice(next(found, "other"), 1.0)


def test_a_peer_sees_each_labelled_message_last_and_is_scored_by_turn() -> None:
    """Two of three right, with a time and a share for each scenario."""
    dataset = Dataset(
        (
            conversation(1, ("loading at six", "ship_loading"), ("thanks", "other")),
            conversation(2, ("the mast broke", "ship_repair")),
        ),
        {"ships": SHIPS},
    )
    told: list[int] = []

    result = run_peer(Keyword(), dataset, lambda: told.append(1))

    assert (2, 3) == (result.metrics.micro.turn.right, result.metrics.micro.turn.total)
    assert {Scenario.FINE_QUERY_FINE_ANSWER, Scenario.IRRELEVANCE} == set(result.metrics.scenarios)
    assert 3 == result.latency.count == len(told)


def test_a_folder_without_labels_is_refused() -> None:
    """There would be nothing to report."""
    with pytest.raises(ValueError, match="no labelled turn"):
        run_peer(Keyword(), Dataset((), {"ships": SHIPS}), lambda: None)


def test_results_are_a_table_and_a_document() -> None:
    """Both name the peer, what it was fitted on and its figures."""
    dataset = Dataset((conversation(1, ("loading at six", "ship_loading")),), {"ships": SHIPS})
    result = run_peer(Keyword(), dataset, lambda: None)
    shown = StringIO()

    print_results(Console(file=shown, width=200), [result])

    (document,) = as_document([result])
    assert ("keyword", "nothing", 1.0, {"harbour": 1.0}) == tuple(
        document[key] for key in ("peer", "fitted_on", "micro", "settings")
    )
    assert "keyword" in shown.getvalue()
    assert "100.0" in shown.getvalue()


def test_training_queries_are_read_by_route_and_drawn_the_same_each_time(tmp_path: Path) -> None:
    """Every labelled message of every source, and no more of a route than asked for."""
    record = {
        "messages": [{"role": "user", "content": f"load {index}"} for index in range(9)],
        "labels": [{"turn": index, "route": "ship_loading"} for index in range(9)],
    }
    for name in FILES:
        with gzip.open(tmp_path / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    examples = read_examples(tmp_path)

    drawn = examples.of(SHIPS, most=4)
    assert ["ship_loading"] == list(drawn)
    assert 4 == len(set(drawn["ship_loading"]))
    assert drawn == read_examples(tmp_path).of(SHIPS, most=4)


def test_foreign_queries_are_of_domains_that_the_set_does_not_have() -> None:
    """A domain whose name merely begins alike is another one."""
    examples = Examples({"ship_loading": ("a",), "ship": ("b",), "shipping_rates": ("c",), "bread_baking": ("d",)})

    assert {"c", "d"} == set(examples.foreign_to(SHIPS, most=9))
