"""TF-IDF and the nearest description: what an afternoon of work gives without any model."""

from collections.abc import Sequence

import numpy as np
from benchmarks.peers.examples import Examples
from benchmarks.peers.peer import Choice, Decider
from sklearn.feature_extraction.text import TfidfVectorizer

from archrouter.domain.conversation import Message
from archrouter.domain.policy import NO_MATCH_ID, PolicySet

_FIT_PER_ROUTE = 8
_THRESHOLDS = np.linspace(0.0, 0.6, 61)


def described(policy_set: PolicySet) -> list[str]:
    """Write each route as text: its name in words, and its description."""
    return [f"{route.id.replace('_', ' ')}. {route.description}" for route in policy_set.routes]


class TfidfNearest:
    """Words and word pairs of the descriptions, weighed by TF-IDF; below a similarity, no match."""

    name = "TF-IDF, nearest description"
    seen = "one threshold"

    def __init__(self, examples: Examples, policy_sets: Sequence[PolicySet]) -> None:
        """Choose the threshold that is best on the training sources' own policy sets.

        Args:
            examples: Labelled queries.
            policy_sets: Sets whose routes have examples.
        """
        self._threshold = self._best_threshold(examples, policy_sets)

    def set_up(self, policy_set: PolicySet) -> Decider:
        """Weigh the words of the descriptions."""
        return _TfidfDecider(policy_set, self._threshold)

    @staticmethod
    def _best_threshold(examples: Examples, policy_sets: Sequence[PolicySet]) -> float:
        similarities: list[float] = []
        would_be_right: list[bool] = []
        is_foreign: list[bool] = []
        for policy_set in policy_sets:
            decider = _TfidfDecider(policy_set, 0.0)
            own = examples.of(policy_set, most=_FIT_PER_ROUTE)
            queries = [(query, route) for route, texts in own.items() for query in texts]
            foreign = examples.foreign_to(policy_set, most=len(queries) // 4)
            for query, route in (*queries, *((text, NO_MATCH_ID) for text in foreign)):
                best, similarity = decider.nearest(query)
                similarities.append(similarity)
                would_be_right.append(best == route)
                is_foreign.append(route == NO_MATCH_ID)
        scores, right, foreign_mask = np.array(similarities), np.array(would_be_right), np.array(is_foreign)
        hits = [np.where(scores >= threshold, right, foreign_mask).mean() for threshold in _THRESHOLDS]
        return float(_THRESHOLDS[int(np.argmax(hits))])


class _TfidfDecider:
    def __init__(self, policy_set: PolicySet, threshold: float) -> None:
        self._ids = [route.id for route in policy_set.routes]
        self._vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, stop_words="english")
        self._rows = self._vectorizer.fit_transform(described(policy_set))
        self._threshold = threshold

    def nearest(self, text: str) -> tuple[str, float]:
        similarities = (self._rows @ self._vectorizer.transform([text]).T).toarray()[:, 0]
        best = int(similarities.argmax())
        return self._ids[best], float(similarities[best])

    def decide(self, messages: Sequence[Message]) -> Choice:
        route, similarity = self.nearest(messages[-1].content)
        return Choice(route if similarity >= self._threshold else NO_MATCH_ID, min(max(similarity, 0.0), 1.0))
