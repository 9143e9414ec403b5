"""How many calls a configuration makes."""

from pathlib import Path

from data.drafting.plan import make_plan
from data.drafting.settings import AmountSettings, AttemptSettings, Role, Settings, read_settings

from archrouter.domain.policy import PolicySet, RoutePolicy
from archrouter.evaluation.dataset import PLACEHOLDER_MODEL

EXAMPLE = Path(__file__).parents[4] / "build" / "data" / "drafting" / "example.toml"


def settings(amounts: AmountSettings, attempts: AttemptSettings) -> Settings:
    """Take the example's models."""
    return read_settings(EXAMPLE).model_copy(update={"amounts": amounts, "attempts": attempts})


def test_plan_from_topics_counts_policies_first() -> None:
    """Seven topics in sets of three make three sets; every bound is worked out by hand."""
    amounts = AmountSettings(
        topics=7,
        domains_per_set=3,
        actions_per_domain=4,
        intents_per_policy=2,
        uncovered_intents_per_set=5,
        dialogues_per_intent=2,
    )
    plan = make_plan(settings(amounts, AttemptSettings(answer=2, dialogue=3, policy_rounds=4)), None)

    routes = 7 * (4 + 1)
    dialogues = (routes * 2 + 3 * 5) * 2
    assert (routes, dialogues) == (plan.routes, plan.dialogues)
    assert [
        (Role.POLICY_WRITER, 7, 7 * 4 * 2),
        (Role.POLICY_REVIEWER, 7, 7 * 4 * 2),
        (Role.INTENT_WRITER, routes + 3, (routes + 3) * 2),
        (Role.DIALOGUE_WRITER, dialogues, dialogues * 3 * 2),
        (Role.LABELLER, dialogues, dialogues * 3 * 2),
    ] == [(role.role, role.fewest, role.most) for role in plan.roles]
    assert plan.fewest == 7 + 7 + routes + 3 + 2 * dialogues


def test_plan_for_given_policies_needs_no_policy_roles() -> None:
    """The team's own routes are counted, and nobody is asked to write any."""
    route = RoutePolicy("a", "a", "", "Requests about a", (PLACEHOLDER_MODEL,))
    policy_set = PolicySet("own", "", (route,), (PLACEHOLDER_MODEL,))
    amounts = AmountSettings(intents_per_policy=2, uncovered_intents_per_set=0)

    plan = make_plan(settings(amounts, AttemptSettings()), policy_set)

    assert (1, 2) == (plan.routes, plan.dialogues)
    assert [Role.INTENT_WRITER, Role.DIALOGUE_WRITER, Role.LABELLER] == [role.role for role in plan.roles]
    assert [1, 2, 2] == [role.fewest for role in plan.roles]
