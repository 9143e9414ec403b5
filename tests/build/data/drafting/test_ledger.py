"""The books and the limits."""

import json

import pytest
from data.drafting.errors import BudgetExhaustedError, EndpointUnusableError
from data.drafting.journal import Entry
from data.drafting.ledger import Ledger
from data.drafting.settings import BudgetSettings, Role, RoleSettings, RolesSettings

ROLE = RoleSettings(model="model", input_price=1.0, output_price=10.0)
ROLES = RolesSettings(intent_writer=ROLE, dialogue_writer=ROLE, labeller=ROLE)
BODY = json.dumps({"usage": {"prompt_tokens": 1000, "completion_tokens": 100}})


def test_prices_are_for_a_million_tokens() -> None:
    """1,000 tokens at 1 and 100 tokens at 10 a million cost 0.002."""
    ledger = Ledger(BudgetSettings(), ROLES, ())

    ledger.bought(Role.LABELLER, BODY)

    account = ledger.accounts[Role.LABELLER]
    assert (1, 0, 1000, 100, 0.002) == (
        account.answers,
        account.replayed,
        account.input_tokens,
        account.output_tokens,
        account.cost,
    )
    assert (1, 1100, 0.002) == (ledger.spent.calls, ledger.spent.tokens, ledger.spent.cost)


def test_replayed_answers_are_counted_and_not_spent() -> None:
    """What comes from the journal was spent by the run that bought it."""
    entry = Entry("sha256:1", Role.LABELLER, "item", 1, "model", BODY)
    ledger = Ledger(BudgetSettings(), ROLES, [entry])

    ledger.used(Role.LABELLER, BODY, replayed=True)

    assert 1 == ledger.spent.calls
    assert 1 == ledger.accounts[Role.LABELLER].replayed


def test_answer_of_a_role_without_settings_costs_nothing_more() -> None:
    """After a change to one's own policies the journal still holds the policy writer's answers."""
    entry = Entry("sha256:1", Role.POLICY_WRITER, "item", 1, "model", BODY)

    spent = Ledger(BudgetSettings(), ROLES, [entry]).spent

    assert (1, 1100, 0.0) == (spent.calls, spent.tokens, spent.cost)


def test_calls_in_flight_count_against_the_limit() -> None:
    """Ten workers cannot share the last call."""
    ledger = Ledger(BudgetSettings(calls=2), ROLES, ())
    ledger.reserve()
    ledger.reserve()

    with pytest.raises(BudgetExhaustedError, match=r"budget.calls is used up: 2 of 2"):
        ledger.reserve()

    ledger.release()
    ledger.reserve()


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (BudgetSettings(tokens=1100), "budget.tokens is used up: 1100 of 1100"),
        (BudgetSettings(cost=0.002), "budget.cost is used up: 0.002 of 0.002"),
    ],
)
def test_spent_tokens_and_cost_end_the_run(budget: BudgetSettings, message: str) -> None:
    """The message names limit and use."""
    ledger = Ledger(budget, ROLES, ())
    ledger.reserve()
    ledger.bought(Role.LABELLER, BODY)
    ledger.release()

    with pytest.raises(BudgetExhaustedError, match=message):
        ledger.reserve()


def test_answer_without_usage_counts_as_a_call() -> None:
    """It is reported as not accounted for; only a limit that needs the number is an error."""
    ledger = Ledger(BudgetSettings(), ROLES, ())
    ledger.bought(Role.LABELLER, "{}")

    assert (1, 0, 1) == (ledger.spent.calls, ledger.spent.tokens, ledger.spent.unaccounted)
    with pytest.raises(EndpointUnusableError, match=r"limit budget.calls instead"):
        Ledger(BudgetSettings(tokens=5), ROLES, ()).bought(Role.LABELLER, "{}")
