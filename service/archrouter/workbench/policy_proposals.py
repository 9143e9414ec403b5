"""Other wordings for routes with findings, made by rule from one half of the conversations; the other half judges."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from archrouter.domain.policy import (
    MAX_DESCRIPTION_CHARACTERS,
    MAX_EXAMPLE_CHARACTERS,
    MAX_EXAMPLES,
    PolicySet,
    RoutePolicy,
)
from archrouter.workbench.policy_cases import Asked, PolicyCase
from archrouter.workbench.policy_findings import Kind, PolicyFinding

MAX_WORDS = 4
"""Words that are added to a description: more of them make a list of it."""

MAX_ADDED_EXAMPLES = 3
"""Conversations that are added to a route as examples, and as many as what it is not."""

_WORD = re.compile(r"[^\W\d_]{4,}")
_CLAUSE_END = re.compile(r"(?<=[.!?;])\s|,\s|\s\(|:\s|\u3002|\uff0c")
_COMMON_WORDS = frozenset(
    _WORD.findall(
        "about after again also been before cannot could does doing done dont down each from gets getting give "
        "have having help here into just know like made make mine more most much need needs only other over please "
        "same should show since some still such tell than that their them then there these they thing this those "
        "told very want wants were what when where which while will with without would your yours"
    )
)

_Rewrite = Callable[[PolicySet], PolicySet]


@dataclass(frozen=True, slots=True)
class Proposal:
    """Another wording.

    Attributes:
        summary: What it does, for people.
        rewrite: Gives the set with it; the same object where there is nothing to do.
    """

    summary: str
    rewrite: _Rewrite


def proposals(finding: PolicyFinding, policy_set: PolicySet, learnt: Sequence[Asked]) -> list[Proposal]:
    """List the wordings worth a trial, each different from the set as it is.

    Args:
        finding: What is wrong.
        policy_set: The set as it is.
        learnt: Verdicts of the half to learn from.
    """

    def both(current: PolicySet) -> PolicySet:
        """Name words and add conversations."""
        return _with_examples(finding, _with_words(finding, current, learnt), learnt)

    shorter = Proposal("shorten the description", lambda current: shortened_routes(current, finding.route_ids))
    examples = Proposal("add conversations as examples", lambda current: _with_examples(finding, current, learnt))
    if finding.kind is Kind.SHORTER_IS_BETTER:
        candidates = [shorter]
    elif finding.kind is Kind.CATCHES_OTHERS:
        candidates = [examples, shorter]
    else:
        words = Proposal("name the words that tell it apart", lambda current: _with_words(finding, current, learnt))
        candidates = [words, examples, Proposal("name such words and add conversations", both), shorter]
    return [each for each in candidates if each.rewrite(policy_set) != policy_set]


def shortened_routes(policy_set: PolicySet, route_ids: Iterable[str]) -> PolicySet:
    """Cut the descriptions of some routes to their first clause; the same set where they are no longer than that."""
    chosen = frozenset(route_ids)
    return _mapped(policy_set, chosen, lambda route: replace(route, description=first_clause(route.description)))


def first_clause(text: str) -> str:
    """Return a description up to its first sentence end, comma, colon or bracket, if three words or more are left."""
    for found in _CLAUSE_END.finditer(text):
        head = text[: found.start()].rstrip(" .;,")
        if len(head.split()) >= 3:  # noqa: PLR2004  # fewer say little more than the id
            return head
    return text


def boundary_words(own: Iterable[PolicyCase], others: Iterable[PolicyCase], known: str) -> tuple[str, ...]:
    """Find the words that tell conversations from others.

    Args:
        own: Conversations that are meant.
        others: Conversations that are not.
        known: Text whose words need not be said again.

    Returns:
        At most `MAX_WORDS` words that more of `own` hold than of `others`, by how many more; none that either holds
        only once.
    """
    mine, theirs = _document_counts(own), _document_counts(others)
    said = _words(known)
    leads = {word: count - theirs[word] for word, count in mine.items() if count > 1 and word not in said}
    ranked = sorted((word for word, lead in leads.items() if lead > 1), key=lambda word: (-leads[word], word))
    return tuple(ranked[:MAX_WORDS])


def _with_words(finding: PolicyFinding, policy_set: PolicySet, learnt: Sequence[Asked]) -> PolicySet:
    labelled = [each.case for each in learnt if each.case.is_labelled]
    is_pair = finding.kind is Kind.CONFUSED_PAIR

    def extended(route: RoutePolicy) -> RoutePolicy:
        """Name the words of its own conversations that those it is confused with do not have."""
        own = [case for case in labelled if case.expected == route.id]
        others = [
            case
            for case in labelled
            if case.expected != route.id and (not is_pair or case.expected in finding.route_ids)
        ]
        words = boundary_words(own, others, route.description)
        description = f"{route.description.rstrip('. ')}, such as {_listed(words)}" if words else route.description
        return replace(route, description=description) if len(description) <= MAX_DESCRIPTION_CHARACTERS else route

    return _mapped(policy_set, frozenset(finding.route_ids), extended)


def _with_examples(finding: PolicyFinding, policy_set: PolicySet, learnt: Sequence[Asked]) -> PolicySet:
    concerned = set(finding.route_ids)
    wrong = [each for each in learnt if concerned & {each.case.expected, each.verdict.winner} and _went_wrong(each)]

    def extended(route: RoutePolicy) -> RoutePolicy:
        """Show it conversations that it should have won, and some that it should not."""
        meant = (each.case for each in wrong if each.case.is_labelled and each.case.expected == route.id)
        not_meant = (each.case for each in wrong if each.verdict.winner == route.id)
        examples = _added(route.examples, meant, route.not_examples)
        return replace(route, examples=examples, not_examples=_added(route.not_examples, not_meant, examples))

    routes = concerned if finding.kind is Kind.CATCHES_OTHERS else concerned | {each.verdict.winner for each in wrong}
    return _mapped(policy_set, frozenset(routes), extended)


def _went_wrong(asked: Asked) -> bool:
    return not asked.case.is_labelled or not asked.is_right


def _added(texts: tuple[str, ...], cases: Iterable[PolicyCase], taken: tuple[str, ...]) -> tuple[str, ...]:
    distinct = dict.fromkeys(case.text.strip() for case in cases)
    new = [text for text in distinct if text not in (*texts, *taken) and len(text) <= MAX_EXAMPLE_CHARACTERS]
    return (*texts, *new[: min(MAX_ADDED_EXAMPLES, MAX_EXAMPLES - len(texts))])


def _mapped(
    policy_set: PolicySet, route_ids: frozenset[str], change: Callable[[RoutePolicy], RoutePolicy]
) -> PolicySet:
    routes = tuple(change(route) if route.id in route_ids else route for route in policy_set.routes)
    return policy_set if routes == policy_set.routes else replace(policy_set, routes=routes)


def _document_counts(cases: Iterable[PolicyCase]) -> Counter[str]:
    return Counter(word for case in cases for word in _words(case.text))


def _words(text: str) -> frozenset[str]:
    return frozenset(_spoken(text.casefold()))


def _spoken(text: str) -> Iterator[str]:
    return (word for word in _WORD.findall(text) if word not in _COMMON_WORDS)


def _listed(words: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
