"""How many calls a configuration makes, before it makes any."""

from dataclasses import dataclass

from archrouter.domain.policy import PolicySet
from data.drafting.settings import Role, Settings


@dataclass(frozen=True, slots=True)
class RolePlan:
    """The calls of one role.

    Attributes:
        role: Who.
        model: Asked by that name.
        fewest: Calls when every answer is right at once.
        most: Calls when every attempt is used; retries of failed requests, which cost nothing, not counted.
    """

    role: Role
    model: str
    fewest: int
    most: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The calls of a run.

    Attributes:
        routes: Policies that data are made for.
        dialogues: Dialogues that are wanted.
        roles: By role, in the order in which they begin.
    """

    routes: int
    dialogues: int
    roles: tuple[RolePlan, ...]

    @property
    def fewest(self) -> int:
        """Calls of all roles when every answer is right at once."""
        return sum(role.fewest for role in self.roles)

    @property
    def most(self) -> int:
        """Calls of all roles when every attempt is used."""
        return sum(role.most for role in self.roles)


def make_plan(settings: Settings, policy_set: PolicySet | None) -> Plan:
    """Count calls.

    Without a policy set, policies are written first; the plan assumes that every policy asked for is accepted in the
    end.

    Raises:
        SetupError: When a role that is needed has no model.
    """
    amounts, attempts = settings.amounts, settings.attempts
    topic_count = 0 if policy_set else amounts.topics
    set_count = 1 if policy_set else -(-topic_count // amounts.domains_per_set)
    routes = len(policy_set.routes) if policy_set else topic_count * _routes_per_topic(settings)
    has_uncovered = amounts.uncovered_intents_per_set > 0
    intent_calls = routes + set_count * has_uncovered
    intents = routes * amounts.intents_per_policy + set_count * amounts.uncovered_intents_per_set
    dialogues = intents * amounts.dialogues_per_intent
    counts = {
        Role.POLICY_WRITER: (topic_count, attempts.policy_rounds),
        Role.POLICY_REVIEWER: (topic_count, attempts.policy_rounds),
        Role.INTENT_WRITER: (intent_calls, 1),
        Role.DIALOGUE_WRITER: (dialogues, attempts.dialogue),
        Role.LABELLER: (dialogues, attempts.dialogue),
    }
    roles = tuple(
        RolePlan(role, settings.roles.of(role).model, count, count * rounds * attempts.answer)
        for role, (count, rounds) in counts.items()
        if count
    )
    return Plan(routes, dialogues, roles)


def _routes_per_topic(settings: Settings) -> int:
    return settings.amounts.actions_per_domain + settings.amounts.domain_policies
