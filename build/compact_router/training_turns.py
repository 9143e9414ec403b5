"""The labelled turns that the scalars are fitted to, drawn from the training sources only.

A router meets policy sets of every size, and turns that none of its routes fits. So the same texts are shown against
whole, partial and coarse policy sets, and now and then the right route is taken away.
"""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from compact_router.benchmark import OTHER, LabelledTurn, Route, labelled_turns, read_conversations, read_policy_sets

SEED = 1
SGD_CONVERSATION_COUNT = 600
JOINED_CONVERSATION_COUNTS = {"clinc_multi_fine": 300, "clinc_multi_coarse": 150}
QUERY_COUNT = 1000
"""Of each source of single queries."""

REMOVAL_SHARE = 0.1
"""How often the right route is taken away, so that no match becomes right."""

SGD_KEPT_DOMAIN_SHARE = 0.6
"""Domains that stay in a partial policy set: about half of the turns then fit no route."""

CLINC_DOMAIN_SHARE = 0.4
CLINC_COARSE_SHARE = 0.3
CLINC_FOREIGN_DOMAIN_SHARE = 0.15
"""Of the one-domain policy sets, how often it is another domain than the query's."""

HWU64_COARSE_SHARE = 0.35

SOURCES = ("banking77", "clinc_multi_coarse", "clinc_multi_fine", "clinc_single", "hwu64", "sgd")
"""Files read, ``<source>.jsonl.gz``."""

PolicySets = Mapping[str, Sequence[Route]]
Conversation = Mapping[str, Any]  # Any: JSON


def draw_training_turns(folder: Path) -> list[LabelledTurn]:
    """Draw the turns; the same ones for the same files.

    Args:
        folder: The training sources.

    Returns:
        The turns, in several settings of different sizes.
    """
    random_numbers = random.Random(SEED)  # noqa: S311 - reproducible data, not a secret
    policy_sets = read_policy_sets(folder)
    turns = _sgd_turns(folder, policy_sets, random_numbers)
    for source, count in JOINED_CONVERSATION_COUNTS.items():
        for conversation in _draw(folder, source, count, random_numbers):
            turns += labelled_turns(
                conversation, policy_sets[conversation["policy_set"]], conversation["labels"], source
            )
    turns += _clinc_turns(folder, policy_sets, random_numbers)
    for conversation in _draw(folder, "banking77", QUERY_COUNT, random_numbers):
        turns += _query_turns(conversation, policy_sets["banking77_fine_half_A"], "banking77", random_numbers)
    turns += _hwu64_turns(folder, policy_sets, random_numbers)
    return turns


def _sgd_turns(folder: Path, policy_sets: PolicySets, random_numbers: random.Random) -> list[LabelledTurn]:
    """Show each third of the dialogues to another policy set: every route, domains only, part of the domains."""
    turns: list[LabelledTurn] = []
    fine = policy_sets["sgd_fine_half_A"]
    domains = sorted({route["domain"] for route in fine})
    for index, conversation in enumerate(_draw(folder, "sgd", SGD_CONVERSATION_COUNT, random_numbers)):
        if index % 3 == 0:
            turns += labelled_turns(conversation, fine, conversation["labels"], "sgd_fine")
        elif index % 3 == 1:
            coarse = policy_sets[conversation["coarse_policy_set"]]
            turns += labelled_turns(conversation, coarse, conversation["coarse_labels"], "sgd_coarse")
        else:
            kept = set(random_numbers.sample(domains, int(len(domains) * SGD_KEPT_DOMAIN_SHARE)))
            partial = [route for route in fine if route["domain"] in kept]
            turns += labelled_turns(conversation, partial, conversation["labels"], "sgd_partial")
    return turns


def _clinc_turns(folder: Path, policy_sets: PolicySets, random_numbers: random.Random) -> list[LabelledTurn]:
    """Show each query to the routes of one domain, to all routes, or to the domains."""
    turns: list[LabelledTurn] = []
    fine = policy_sets["clinc_fine_half_A"]
    domain_of = {route["name"]: route["domain"] for route in fine}
    domains = sorted(set(domain_of.values()))
    for conversation in _draw(folder, "clinc_single", QUERY_COUNT, random_numbers, keep_other=True):
        route = conversation["labels"][0]["route"]
        choice = random_numbers.random()
        if choice < CLINC_DOMAIN_SHARE:
            foreign = route == OTHER or random_numbers.random() < CLINC_FOREIGN_DOMAIN_SHARE
            domain = random_numbers.choice(domains) if foreign else domain_of[route]
            routes = [candidate for candidate in fine if candidate["domain"] == domain]
            turns += labelled_turns(conversation, routes, conversation["labels"], "clinc_domain")
        elif choice < 1 - CLINC_COARSE_SHARE:
            turns += _query_turns(conversation, fine, "clinc_fine", random_numbers)
        else:
            label = domain_of.get(route, OTHER)
            turns += _query_turns(
                conversation, policy_sets["clinc_coarse_half_A"], "clinc_coarse", random_numbers, label
            )
    return turns


def _hwu64_turns(folder: Path, policy_sets: PolicySets, random_numbers: random.Random) -> list[LabelledTurn]:
    """Show each query to all routes or to the domains."""
    turns: list[LabelledTurn] = []
    fine = policy_sets["hwu64_fine_half_A"]
    domain_of = {route["name"]: route["domain"] for route in fine}
    for conversation in _draw(folder, "hwu64", QUERY_COUNT, random_numbers):
        if random_numbers.random() < HWU64_COARSE_SHARE:
            label = domain_of.get(conversation["labels"][0]["route"], OTHER)
            turns += _query_turns(
                conversation, policy_sets["hwu64_coarse_half_A"], "hwu64_coarse", random_numbers, label
            )
        else:
            turns += _query_turns(conversation, fine, "hwu64_fine", random_numbers)
    return turns


def _query_turns(
    conversation: Conversation,
    routes: Sequence[Route],
    setting: str,
    random_numbers: random.Random,
    label: str | None = None,
) -> list[LabelledTurn]:
    """Show a single query, sometimes without its right route; ``label`` replaces the one in the file."""
    right = label or conversation["labels"][0]["route"]
    if random_numbers.random() < REMOVAL_SHARE:
        routes = [route for route in routes if route["name"] != right]
    return labelled_turns(conversation, routes, [{"turn": 0, "route": right}], setting)


def _draw(
    folder: Path, source: str, count: int, random_numbers: random.Random, *, keep_other: bool = False
) -> list[Conversation]:
    """Draw conversations of a source, and with ``keep_other`` all of its first turns that fit no route."""
    conversations = list(read_conversations(folder / f"{source}.jsonl.gz"))
    random_numbers.shuffle(conversations)
    rest = [item for item in conversations[count:] if item["labels"][0]["route"] == OTHER] if keep_other else []
    return conversations[:count] + rest
