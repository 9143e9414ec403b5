"""Labelled queries that a peer may be fitted on, read from the training sources in place."""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random

from archrouter.domain.policy import PolicySet

FILES = ("clinc_single", "banking77", "hwu64", "sgd")
"""Sources of single queries, and of dialogues; the joined queries repeat the first."""

_SEED = 7


class Examples:
    """Queries by the route they belong to."""

    def __init__(self, by_route: Mapping[str, Sequence[str]]) -> None:
        """Keep queries.

        Args:
            by_route: Route id to its queries; routes of all sources together.
        """
        self._by_route = {route: tuple(queries) for route, queries in by_route.items()}

    def of(self, policy_set: PolicySet, *, most: int) -> dict[str, tuple[str, ...]]:
        """Draw queries for the routes of a policy set.

        Args:
            policy_set: Whose routes.
            most: Queries a route at most.

        Returns:
            Queries by route id, the same for the same set; routes without any are left out.
        """
        ids = (route.id for route in policy_set.routes)
        return {route: self._drawn(route, most) for route in ids if self._by_route.get(route)}

    def foreign_to(self, policy_set: PolicySet, *, most: int) -> tuple[str, ...]:
        """Draw queries of routes whose domain the policy set does not have.

        Args:
            policy_set: The set.
            most: Queries at most.

        Returns:
            Queries, which no route of the set is meant for.
        """
        domains = {route.domain for route in policy_set.routes}
        foreign = [
            query
            for route, queries in sorted(self._by_route.items())
            if not any(route == domain or route.startswith(f"{domain}_") for domain in domains)
            for query in queries
        ]
        return tuple(_random(policy_set.id).sample(foreign, min(most, len(foreign))))

    def _drawn(self, route: str, most: int) -> tuple[str, ...]:
        queries = self._by_route[route]
        return tuple(_random(route).sample(queries, min(most, len(queries))))


def read_examples(directory: Path) -> Examples:
    """Read the labelled user messages of the training sources.

    Args:
        directory: Folder of ``<source>.jsonl.gz``.

    Returns:
        The queries; each text once for its route, in the order of the files.

    Raises:
        FileNotFoundError: When a source is missing.
    """
    by_route: dict[str, dict[str, None]] = defaultdict(dict)
    for name in FILES:
        for record in _records(directory / f"{name}.jsonl.gz"):
            for route, query in _labelled(record):
                by_route[route][query] = None
    return Examples({route: tuple(queries) for route, queries in by_route.items()})


def _records(path: Path) -> Iterator[dict[str, list[dict[str, object]]]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _labelled(record: Mapping[str, Sequence[Mapping[str, object]]]) -> Iterable[tuple[str, str]]:
    messages = record["messages"]
    for label in record["labels"]:
        yield str(label["route"]), str(messages[int(str(label["turn"]))]["content"])


def _random(key: str) -> Random:
    return Random(f"{_SEED} {key}")  # noqa: S311  # reproducible choices, not secrets
