"""The doctor's visit: ask, find, try other wordings on conversations that they were not made from."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from archrouter.domain.policy import PolicySet
from archrouter.workbench.policy_cases import Asked, PolicyCase, halves, unseen
from archrouter.workbench.policy_findings import Kind, PolicyFinding, diagnose, untested
from archrouter.workbench.policy_proposals import proposals, shortened_routes

MAX_SHORTENED_ROUTES = 8
"""Routes asked once more in a shorter form, those with most errors first."""

MAX_TRIALS = 32
"""Wordings measured for one set: each costs a call for every conversation of the half that judges."""

MIN_GAIN = 2
"""Conversations that another wording must set right, over those that it spoils."""

AskOne = Callable[[Sequence[tuple[PolicySet, PolicyCase]]], Awaitable[list[Asked]]]
"""Routes each conversation by the set beside it; answers in the order of the questions."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A wording that was measured and is better: `right_before` and `right_after` of `case_count` conversations."""

    finding: PolicyFinding
    summary: str
    right_before: int
    right_after: int
    case_count: int


@dataclass(frozen=True, slots=True)
class Visit:
    """What was found in one set.

    Attributes:
        policy_set: The set as it is.
        asked: Its conversations with their verdicts.
        findings: What is wrong with it.
        untested: Routes with too few conversations of their own.
        accepted: Wordings that are better, in the order in which they build upon each other.
        trial_count: Wordings that were measured, better or not.
        proposed: The set with the accepted wordings; the set as it is where there is none.
    """

    policy_set: PolicySet
    asked: tuple[Asked, ...]
    findings: tuple[PolicyFinding, ...]
    untested: tuple[str, ...]
    accepted: tuple[Trial, ...]
    trial_count: int
    proposed: PolicySet


async def visit(policy_set: PolicySet, cases: Sequence[PolicyCase], ask: AskOne, *, propose: bool) -> Visit:
    """Examine one set.

    Args:
        policy_set: A valid set.
        cases: Conversations, see `gather_cases`.
        ask: Routes conversations.
        propose: Whether to look for better wordings as well, which takes up to `MAX_TRIALS` times as many calls.
    """
    asked = await _ask(policy_set, cases, ask)
    findings = (*diagnose(policy_set, asked), *await _shorter_is_better(policy_set, asked, ask))
    accepted, trial_count, proposed = (
        await _improve(policy_set, asked, findings, ask) if propose else ((), 0, policy_set)
    )
    return Visit(policy_set, asked, findings, untested(policy_set, asked), accepted, trial_count, proposed)


async def _ask(policy_set: PolicySet, cases: Sequence[PolicyCase], ask: AskOne) -> tuple[Asked, ...]:
    """Route conversations; one that is itself all that a route says of itself proves nothing and is left out."""
    questions = [(without, case) for case in cases if (without := unseen(policy_set, case)) is not None]
    return tuple(await ask(questions))


async def _shorter_is_better(policy_set: PolicySet, asked: Sequence[Asked], ask: AskOne) -> list[PolicyFinding]:
    wrong = {
        route.id: [each for each in asked if _is_error_of(each, route.id)]
        for route in policy_set.routes
        if shortened_routes(policy_set, [route.id]) is not policy_set
    }
    suspects = sorted((route_id for route_id in wrong if wrong[route_id]), key=lambda each: -len(wrong[each]))
    found = []
    for route_id in suspects[:MAX_SHORTENED_ROUTES]:
        concerned = [each for each in asked if each.case.is_labelled and _concerns(each, route_id)]
        shorter = await _ask(shortened_routes(policy_set, [route_id]), [each.case for each in concerned], ask)
        mended = tuple(
            before for before, after in zip(concerned, shorter, strict=True) if after.is_right and not before.is_right
        )
        spoilt = sum(before.is_right and not after.is_right for before, after in zip(concerned, shorter, strict=True))
        if len(mended) - spoilt >= MIN_GAIN:
            found.append(PolicyFinding(Kind.SHORTER_IS_BETTER, (route_id,), mended, len(concerned)))
    return found


def _concerns(asked: Asked, route_id: str) -> bool:
    return route_id in {asked.case.expected, asked.verdict.winner}


def _is_error_of(asked: Asked, route_id: str) -> bool:
    return asked.case.is_labelled and not asked.is_right and _concerns(asked, route_id)


async def _improve(
    policy_set: PolicySet, asked: Sequence[Asked], findings: Sequence[PolicyFinding], ask: AskOne
) -> tuple[tuple[Trial, ...], int, PolicySet]:
    """Take, finding by finding, the wording that does best on the half that it was not made from."""
    learn_from, judge_by = halves([each.case for each in asked])
    chosen = {id(case) for case in learn_from}
    learnt = [each for each in asked if id(each.case) in chosen]
    greedy = frozenset(each.route_ids[0] for each in findings if each.kind is Kind.CATCHES_OTHERS)
    judges = [case for case in judge_by if case.is_labelled or greedy]
    best, accepted, trial_count = policy_set, list[Trial](), 0
    right = _right(await _ask(best, judges, ask), greedy)
    for finding in findings:
        trials = []
        for proposal in proposals(finding, best, learnt)[: MAX_TRIALS - trial_count]:
            trial_count += 1
            reworded = proposal.rewrite(best)
            trials.append((_right(await _ask(reworded, judges, ask), greedy), proposal.summary, reworded))
        top = max(trials, key=lambda trial: trial[0], default=None)
        if top is not None and top[0] - right >= MIN_GAIN:
            accepted.append(Trial(finding, top[1], right, top[0], len(judges)))
            right, best = top[0], top[2]
    return tuple(accepted), trial_count, best


def _right(asked: Sequence[Asked], greedy: frozenset[str]) -> int:
    """Count what went right; a neutral request does when no route has it that catches too many of them."""
    return sum(each.is_right if each.case.is_labelled else each.verdict.decided not in greedy for each in asked)
