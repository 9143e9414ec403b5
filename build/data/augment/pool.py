"""What records may be mixed with: other conversations of their policy set, and policy sets that have nothing to do."""

from collections.abc import Iterable, Sequence

from archrouter.domain.policy import RoutePolicy
from data.augment.settings import Overlap
from data.records import Record
from data.texts import content_stems, words

MIN_OPENING_WORDS = 4
"""Shorter openings may read as the continuation of whatever comes before them."""

_MIN_COMMON_STEMS = 2


class Pool:
    """The records of a folder, ordered for drawing. Immutable."""

    def __init__(self, records: Iterable[Record], overlap: Overlap) -> None:
        """Index conversations as they were written."""
        self._overlap = overlap
        self._companions: dict[tuple[str, str], list[Record]] = {}
        self._routes: dict[str, tuple[RoutePolicy, ...]] = {}
        self._sets_of_domain: dict[str, set[str]] = {}
        for record in records:
            self._companions.setdefault((record.policy_set, record.provenance.language), []).append(record)
            if record.policy_set not in self._routes:
                self._routes[record.policy_set] = record.routes
                for route in record.routes:
                    self._sets_of_domain.setdefault(route.domain, set()).add(record.policy_set)

    def companions(self, record: Record) -> Sequence[Record]:
        """List the other conversations of a record's policy set and language that open with a clear request."""
        group = self._companions.get((record.policy_set, record.provenance.language), [])
        return [
            other for other in group if other.id != record.id and other.routes == record.routes and opens_clearly(other)
        ]

    def foreign_sets(self, record: Record) -> Sequence[str]:
        """List the policy sets that overlap with none of those a record has routes of, in the order of names.

        There is none when the record's routes are of unknown origin.
        """
        own = {record.policy_set}
        for route in record.routes:
            own |= self._sets_of_domain.get(route.domain, set())
        return [
            name for name in sorted(self._routes) if not any(self._overlap.overlaps(name, each) for each in sorted(own))
        ]

    def routes(self, policy_set: str) -> tuple[RoutePolicy, ...]:
        """Give the routes of a policy set."""
        return self._routes[policy_set]

    def openings(self, policy_set: str, language: str) -> Sequence[Record]:
        """List the conversations of a policy set and language that open with a clear request."""
        return [record for record in self._companions.get((policy_set, language), []) if opens_clearly(record)]


def opens_clearly(record: Record) -> bool:
    """Say whether a conversation begins with a request that is understood wherever it is put."""
    opening = record.turns[0]
    return opening.has_route and len(words(opening.text)) >= MIN_OPENING_WORDS


def may_fit(texts: Iterable[str], route: RoutePolicy) -> bool:
    """Say whether words of a text hint that a route may fit it, because they share two or more content words.

    Crude on purpose: what it lets pass must not fit, what it holds back may.
    """
    wanted = content_stems(f"{route.id} {route.description}")
    return any(len(wanted & content_stems(text)) >= _MIN_COMMON_STEMS for text in texts)
