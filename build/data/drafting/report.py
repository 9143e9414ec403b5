"""What a run came to: for people as tables, for programs as one JSON document."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from rich.table import Table

from archrouter.workbench.chat_completions import AnswerFault
from archrouter.workbench.formats import percent
from data.drafting.errors import ExitCode, Rejection, StopError
from data.drafting.ledger import Ledger, RoleAccount
from data.drafting.plan import Plan
from data.drafting.run import Product

_OUTCOMES = {
    ExitCode.COMPLETE: "complete",
    ExitCode.LOW_YIELD: "low_yield",
    ExitCode.USAGE: "unrecorded",
    ExitCode.ENDPOINT: "endpoint_failed",
    ExitCode.BUDGET: "budget_exhausted",
    ExitCode.INTERRUPTED: "interrupted",
}


@dataclass(frozen=True, slots=True)
class Report:
    """A run that has ended.

    Attributes:
        plan: What was wanted.
        product: What was made.
        ledger: What it took.
        stop: Why the run ended early; None when it did not.
        min_yield: Share of the planned dialogues below which the run fails.
    """

    plan: Plan
    product: Product
    ledger: Ledger
    stop: StopError | None
    min_yield: float

    @property
    def exit_code(self) -> ExitCode:
        """How the program ends."""
        if self.stop is not None:
            return self.stop.exit_code
        if self.product.unfinished:
            return ExitCode.ENDPOINT
        return ExitCode.COMPLETE if self.share >= self.min_yield else ExitCode.LOW_YIELD

    @property
    def share(self) -> float:
        """Finished dialogues of those planned, in [0, 1]."""
        return len(self.product.dialogues) / self.plan.dialogues

    @property
    def conclusion(self) -> str:
        """One line for people."""
        if self.stop is not None:
            return f"stopped: {self.stop}"
        if self.product.unfinished:
            last = self.product.unfinished[-1]
            return f"{len(self.product.unfinished)} items got no answer ({last.item}: {last.error}); run it again"
        if self.exit_code is ExitCode.LOW_YIELD:
            return f"only {percent(self.share)} of the planned dialogues; budget.min_yield asks for more"
        return "complete"

    def document(self) -> dict[str, object]:
        """Write the report as JSON."""
        spent = self.ledger.spent
        turn_count = sum(len(dialogue.labels) for _, dialogue in self.product.dialogues)
        return {
            "outcome": _OUTCOMES[self.exit_code],
            "exit_code": int(self.exit_code),
            "conclusion": self.conclusion,
            "dialogues": {
                "planned": self.plan.dialogues,
                "finished": len(self.product.dialogues),
                "labelled_turns": turn_count,
                "by_target": dict(Counter(order.target for order, _ in self.product.dialogues)),
            },
            "rejected": dict(Counter(error.reason.value for error in self.product.rejections)),
            "unfinished": len(self.product.unfinished),
            "roles": {role.value: _account(account) for role, account in self.ledger.accounts.items()},
            "spent_in_all_runs": {
                "calls": spent.calls,
                "tokens": spent.tokens,
                "cost": round(spent.cost, 6),
                "answers_without_usage": spent.unaccounted,
            },
            "failures": [{"item": failure.item, "why": str(failure.error)} for failure in self.product.failures],
            "policy_warnings": self.product.warnings,
        }

    def table(self) -> Table:
        """Write the report as a table with a row for each role that was asked."""
        table = Table("role", "answers", "replayed", "retries", "unusable", "thrown away", "tokens", "cost")
        for role, account in self.ledger.accounts.items():
            if account.answers or account.retries:
                table.add_row(role.value, *_cells(account))
        return table


def _account(account: RoleAccount) -> dict[str, object]:
    return {
        "answers": account.answers,
        "replayed": account.replayed,
        "retries": account.retries,
        "input_tokens": account.input_tokens,
        "output_tokens": account.output_tokens,
        "cost": round(account.cost, 6),
        "unusable": dict(account.unusable),
        "thrown_away": dict(account.rejected),
    }


def _cells(account: RoleAccount) -> tuple[str, ...]:
    return (
        str(account.answers),
        str(account.replayed),
        str(account.retries),
        _reasons(account.unusable),
        _reasons(account.rejected),
        str(account.input_tokens + account.output_tokens),
        f"{account.cost:.4f}",
    )


def _reasons(counts: Mapping[AnswerFault, int] | Mapping[Rejection, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "0"
