"""From a topic to policies: one model proposes, another reviews, and what it finds goes back to the first."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from archrouter.domain.policy import RoutePolicy, check_policy_set, derive_route_id
from archrouter.domain.policy_lint import lint_policy_set
from archrouter.evaluation.dataset import PLACEHOLDER_MODEL
from data.drafting.answers import PolicyProposal, PolicyReview, PolicyVerdict
from data.drafting.caller import Caller, Question
from data.drafting.errors import RejectedError, Rejection
from data.drafting.ledger import Ledger
from data.drafting.policy_sets import make_policy_set
from data.drafting.prompts import PromptLibrary
from data.drafting.settings import Role, Settings
from data.drafting.topics import Topic

MIN_POLICIES = 2
"""A domain with fewer leaves nothing to choose."""

_ACTION = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+){0,3}")
_MAX_ACTION_CHARACTERS = 32
_ROUTE_INDEX = re.compile(r"routes\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Drafts:
    """The state of a domain between two rounds.

    Attributes:
        kept: Accepted policies.
        pending: Policies that are to be reviewed.
        problems: Why others were turned down.
    """

    kept: tuple[RoutePolicy, ...] = ()
    pending: tuple[RoutePolicy, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def policies(self) -> tuple[RoutePolicy, ...]:
        """Accepted ones first."""
        return self.kept + self.pending


class PolicyWriting:
    """Writes the policies of topics."""

    def __init__(self, caller: Caller, prompts: PromptLibrary, settings: Settings, ledger: Ledger) -> None:
        """Write nothing yet."""
        self._caller = caller
        self._prompts = prompts
        self._amounts = settings.amounts
        self._rounds = settings.attempts.policy_rounds
        self._account = ledger.accounts[Role.POLICY_REVIEWER]

    async def write(self, topic: Topic) -> tuple[RoutePolicy, ...]:
        """Write the policies of one topic: at least `MIN_POLICIES`, the domain's own policy last.

        Raises:
            ItemError: When there are too few, or a question got no answer.
            StopError: When nothing more may be asked.
        """
        drafts = Drafts()
        for number in range(1, self._rounds + 1):
            try:
                drafts = await self._review(topic, await self._propose(topic, drafts, number), number)
            except RejectedError:
                if len(drafts.kept) < MIN_POLICIES:
                    raise
                break  # what was accepted before is good enough to go on with
            if not drafts.pending and not any(self._missing(drafts)):
                break
        if len(drafts.kept) < MIN_POLICIES:
            msg = f"{topic.domain}: {len(drafts.kept)} policies were accepted in {self._rounds} rounds"
            raise RejectedError(Rejection.TOO_FEW_POLICIES, msg)
        return tuple(sorted(drafts.kept, key=lambda route: route.covers_domain))

    def _missing(self, drafts: Drafts) -> tuple[int, bool]:
        """Count the actions that are missing, and say whether the domain's own policy is."""
        action_count = sum(not route.covers_domain for route in drafts.policies)
        wants_domain = self._amounts.domain_policies and action_count == len(drafts.policies)
        return self._amounts.actions_per_domain - action_count, wants_domain

    async def _propose(self, topic: Topic, drafts: Drafts, number: int) -> Drafts:
        action_count, wants_domain = self._missing(drafts)
        if not action_count and not wants_domain:  # only reworded policies are left to be reviewed
            return drafts
        taken = {route.action for route in drafts.policies}

        def broken_rule(proposal: PolicyProposal) -> str:
            actions = [policy.action for policy in proposal.policies]
            return _broken_action_rule(actions, taken, action_count, wants_domain=wants_domain)

        prompt = self._prompts.render(
            "propose_policies",
            domain=topic.domain,
            kind=topic.kind,
            scope=topic.scope,
            kept=_shown(drafts.policies),
            problems=list(drafts.problems),
            action_count=action_count,
            wants_domain_policy=wants_domain,
        )
        item = f"{topic.domain}/round-{number}"
        answer = await self._caller.ask(Question(Role.POLICY_WRITER, item, prompt, PolicyProposal, broken_rule))
        proposed = tuple(_route(topic.domain, policy.action, policy.description) for policy in answer.value.policies)
        return replace(drafts, pending=drafts.pending + proposed)

    async def _review(self, topic: Topic, drafts: Drafts, number: int) -> Drafts:
        pending = {route.action for route in drafts.pending}

        def broken_rule(review: PolicyReview) -> str:
            return _broken_verdict_rule(review.verdicts, pending)

        prompt = self._prompts.render(
            "review_policies",
            domain=topic.domain,
            kind=topic.kind,
            scope=topic.scope,
            kept=_shown(drafts.kept),
            drafts=_shown(drafts.pending),
        )
        item = f"{topic.domain}/round-{number}"
        answer = await self._caller.ask(Question(Role.POLICY_REVIEWER, item, prompt, PolicyReview, broken_rule))
        reviewed = settle_review(drafts, answer.value.verdicts)
        self._account.rejected.update([Rejection.POLICY_TURNED_DOWN] * len(reviewed.problems))
        return reviewed


def settle_review(drafts: Drafts, verdicts: Sequence[PolicyVerdict]) -> Drafts:
    """Apply a review, and the project's own checks of policies, which no reviewer can overrule.

    Returns:
        What is kept, what has to be reviewed again because it was reworded, and what is wrong with the rest.
    """
    by_action = {verdict.action: verdict for verdict in verdicts}
    kept, pending, problems = list(drafts.kept), [], []
    for route in drafts.pending:
        verdict = by_action[route.action]
        if verdict.verdict == "refine":
            pending.append(replace(route, description=verdict.description))
            continue
        problem = verdict.problem if verdict.verdict == "reject" else _own_problem([*kept, route])
        if problem:
            problems.append(f"{route.action or 'the policy of the whole domain'}: {problem}")
        else:
            kept.append(route)
    return Drafts(tuple(kept), tuple(pending), tuple(problems))


def _own_problem(routes: Sequence[RoutePolicy]) -> str:
    """Say what the policy checks and the linter find in the last of some routes."""
    policy_set = make_policy_set("draft", [routes])
    for finding in (*check_policy_set(policy_set), *lint_policy_set(policy_set)):
        place = _ROUTE_INDEX.match(finding.field_path)
        if place and int(place[1]) == len(routes) - 1:
            return finding.message
    return ""


def _broken_action_rule(actions: Sequence[str], taken: set[str], count: int, *, wants_domain: bool) -> str:
    if len(actions) != count + wants_domain or actions.count("") != wants_domain:
        wanted = f"{count} with an action and {int(wants_domain)} without"
        return f"{len(actions)} policies, of which {actions.count('')} have no action; want {wanted}"
    for action in filter(None, actions):
        if not _ACTION.fullmatch(action) or len(action) > _MAX_ACTION_CHARACTERS:
            return f"{action!r} is no action; want one to four words in snake_case"
        if action in taken or actions.count(action) > 1:
            return f"the action {action!r} is there already"
    return ""


def _broken_verdict_rule(verdicts: Sequence[PolicyVerdict], pending: set[str]) -> str:
    actions = [verdict.action for verdict in verdicts]
    if len(actions) != len(pending) or set(actions) != pending:
        return f"verdicts on {actions}; want exactly one on each of {sorted(pending)}"
    for verdict in verdicts:
        if verdict.verdict == "refine" and not verdict.description:
            return f"the verdict on {verdict.action!r} is refine, but its description is empty"
        if verdict.verdict == "reject" and not verdict.problem:
            return f"the verdict on {verdict.action!r} is reject, but its problem is empty"
    return ""


def _route(domain: str, action: str, description: str) -> RoutePolicy:
    return RoutePolicy(derive_route_id(domain, action), domain, action, description, (PLACEHOLDER_MODEL,))


def _shown(routes: Sequence[RoutePolicy]) -> list[dict[str, str]]:
    return [{"action": route.action, "description": route.description} for route in routes]
