"""A tier that counts words, so that a test can read off what a wording does."""

import re

from archrouter import v1

_WORD = re.compile(r"[a-z]{4,}")
_NO_MATCH_SCORE = 0.5


def decide_by_words(request: v1.SelectRouteRequest) -> v1.Decision:
    """Choose the route whose description and examples share most words with the latest message.

    Of equals the first; without any common word none. Not-examples count against a route.
    """
    words = _words(request.messages[-1].content)
    scores = {
        route.id: len(words & _words(" ".join((route.description, *route.examples))))
        - 0.1 * len(words & _words(" ".join(route.not_examples)))
        for route in request.inline_policy_set.routes
    }
    ranked = sorted({**scores, "": _NO_MATCH_SCORE}.items(), key=lambda item: -item[1])
    decided = ranked[0][0]
    outcome = v1.Outcome.OUTCOME_MATCHED if decided else v1.Outcome.OUTCOME_NO_MATCH
    total = sum(max(score, 0) for _, score in ranked)
    return v1.Decision(
        decision_id="decision-1",
        outcome=outcome,
        route_id=decided,
        confidence=1.0,
        candidates=[v1.Candidate(route_id=each, probability=max(score, 0) / total) for each, score in ranked],
    )


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))
