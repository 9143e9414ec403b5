"""The books: what was asked, answered, paid and rejected, by role, and the limits of the budget."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from archrouter.workbench.chat_completions import AnswerFault, Usage, read_usage
from data.drafting.errors import BudgetExhaustedError, EndpointUnusableError, Rejection
from data.drafting.journal import Entry
from data.drafting.settings import BudgetSettings, Role, RolesSettings

_TOKENS_PER_PRICE = 1_000_000


@dataclass(slots=True)
class RoleAccount:
    """What one role did in this run.

    Attributes:
        answers: Answers used, whether bought now or before.
        replayed: Those of them that came from the journal.
        input_tokens: Of all of them.
        output_tokens: Of all of them.
        cost: Of all of them, in the currency of the prices.
        retries: Requests sent again after a failure.
        unusable: Answers that could not be used, by fault.
        rejected: What this role's answers led to being thrown away, by reason.
    """

    answers: int = 0
    replayed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    retries: int = 0
    unusable: Counter[AnswerFault] = field(default_factory=Counter)
    rejected: Counter[Rejection] = field(default_factory=Counter)


@dataclass(slots=True)
class Spent:
    """What all runs with this output folder have bought so far.

    Attributes:
        calls: Answers.
        tokens: Input and output tokens.
        cost: In the currency of the prices.
        unaccounted: Answers for which the endpoint named no tokens; they count as 0 tokens.
    """

    calls: int = 0
    tokens: int = 0
    cost: float = 0.0
    unaccounted: int = 0


class Ledger:
    """Counts, and says no when a limit is reached."""

    def __init__(self, budget: BudgetSettings, roles: RolesSettings, bought_before: Iterable[Entry]) -> None:
        """Start with what earlier runs bought."""
        self.accounts = {role: RoleAccount() for role in Role}
        self.spent = Spent()
        self._budget = budget
        self._roles = roles
        self._in_flight = 0
        for entry in bought_before:
            self._spend(entry.role, read_usage(entry.body))

    @property
    def retries(self) -> int:
        """Requests sent again in this run."""
        return sum(account.retries for account in self.accounts.values())

    @property
    def headline(self) -> str:
        """A line about what all runs have bought, and what this one threw away."""
        thrown_away = sum(account.rejected.total() + account.unusable.total() for account in self.accounts.values())
        return f"{self.spent.calls} answers, cost {self.spent.cost:.2f}, {thrown_away} thrown away"

    def reserve(self) -> None:
        """Ask for one call.

        Raises:
            BudgetExhaustedError: When a limit is reached. Tokens and cost are known only afterwards, so they can be
                exceeded by the calls in flight at that moment.
        """
        limits = (
            ("calls", self.spent.calls + self._in_flight, self._budget.calls),
            ("tokens", self.spent.tokens, self._budget.tokens),
            ("cost", self.spent.cost, self._budget.cost),
        )
        for name, used, limit in limits:
            if limit is not None and used >= limit:
                msg = f"budget.{name} is used up: {_plain(used)} of {_plain(limit)}; raise it and run the command again"
                raise BudgetExhaustedError(msg)
        self._in_flight += 1

    def release(self) -> None:
        """End a call that was reserved, answered or not."""
        self._in_flight -= 1

    def bought(self, role: Role, body: str) -> None:
        """Count an answer that was just paid for.

        Raises:
            EndpointUnusableError: When a limit on tokens or cost cannot be kept because the endpoint names none.
        """
        usage = read_usage(body)
        self._spend(role, usage)
        self.used(role, body, replayed=False)
        if usage is None and (self._budget.tokens is not None or self._budget.cost is not None):
            msg = "the endpoint does not say what an answer used, so budget.tokens and budget.cost cannot be kept;"
            msg += " limit budget.calls instead"
            raise EndpointUnusableError(msg)

    def used(self, role: Role, body: str, *, replayed: bool) -> None:
        """Count an answer that is used; ``replayed`` says that an earlier run bought it."""
        account = self.accounts[role]
        account.answers += 1
        account.replayed += replayed
        usage = read_usage(body)
        if usage is not None:
            account.input_tokens += usage.prompt_tokens
            account.output_tokens += usage.completion_tokens
            account.cost += self._cost(role, usage)

    def retried(self, role: Role) -> None:
        """Count a request that is sent again."""
        self.accounts[role].retries += 1

    @property
    def has_retries_left(self) -> bool:
        """Whether this run may send a request again."""
        return self.retries < self._budget.retries

    def _spend(self, role: Role, usage: Usage | None) -> None:
        self.spent.calls += 1
        if usage is None:
            self.spent.unaccounted += 1
        else:
            self.spent.tokens += usage.prompt_tokens + usage.completion_tokens
            self.spent.cost += self._cost(role, usage)

    def _cost(self, role: Role, usage: Usage) -> float:
        settings = self._roles.find(role)
        if settings is None:  # an earlier run paid for a role that the settings no longer have
            return 0.0
        input_cost = usage.prompt_tokens * settings.input_price
        return (input_cost + usage.completion_tokens * settings.output_price) / _TOKENS_PER_PRICE


def _plain(amount: float) -> str:
    return f"{amount:.10g}"  # neither 0.30000000000000004 nor 1e+06
