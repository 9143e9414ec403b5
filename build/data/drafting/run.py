"""A whole run: policies, intents, dialogues, files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from archrouter.domain.policy import PolicySet, RoutePolicy
from archrouter.domain.policy_lint import lint_policy_set
from data.drafting.caller import Caller
from data.drafting.dialogues import DialogueOrder, DialogueWriting, LabelledDialogue, order_dialogues
from data.drafting.errors import ItemError, RejectedError, StopError
from data.drafting.intents import IntentOrder, IntentWriting, order_intents
from data.drafting.ledger import Ledger
from data.drafting.policy_sets import make_policy_set
from data.drafting.policy_writing import PolicyWriting
from data.drafting.prompts import PromptLibrary
from data.drafting.settings import Settings
from data.drafting.styles import Style
from data.drafting.topics import Topic
from data.drafting.workers import Settled, settle

Display = Callable[[str, int], Callable[[str], None]]
"""Called with what is made and how many; gives what to call after each, with a line about where the run stands."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that gave no data.

    Attributes:
        item: Its name.
        error: Why.
    """

    item: str
    error: ItemError | StopError


@dataclass(slots=True)
class Product:
    """What a run made.

    Attributes:
        policy_sets: In their order.
        dialogues: Finished ones, in the order of the plan, whatever order they were finished in.
        failures: What gave no data.
        warnings: What the linter says about the policy sets.
    """

    policy_sets: tuple[PolicySet, ...] = ()
    dialogues: list[tuple[DialogueOrder, LabelledDialogue]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def rejections(self) -> list[RejectedError]:
        """Why things were given up for good."""
        return [failure.error for failure in self.failures if isinstance(failure.error, RejectedError)]

    @property
    def unfinished(self) -> list[Failure]:
        """What the next run goes on with."""
        return [failure for failure in self.failures if not isinstance(failure.error, RejectedError)]


class Run:
    """Makes the data of one configuration."""

    def __init__(
        self,
        settings: Settings,
        caller: Caller,
        prompts: PromptLibrary,
        ledger: Ledger,
        styles: tuple[Style, ...],
        display: Display,
    ) -> None:
        """Make nothing yet."""
        self._settings = settings
        self._policies = PolicyWriting(caller, prompts, settings, ledger)
        self._intents = IntentWriting(caller, prompts)
        self._dialogues = DialogueWriting(caller, prompts, settings, ledger)
        self._ledger = ledger
        self._styles = styles
        self._display = display
        self._worker_count = settings.endpoint.max_concurrent_requests
        self._product = Product()

    async def make(self, source: PolicySet | Sequence[Topic]) -> Product:
        """Make the data for a team's own policy set, or for topics to write policies about.

        Returns:
            What was made; errors of single items and the end of the budget are in it.
        """
        product = self._product
        product.policy_sets = (source,) if isinstance(source, PolicySet) else await self._write_policy_sets(source)
        for policy_set in product.policy_sets:
            findings = lint_policy_set(policy_set)
            product.warnings += [f"{policy_set.id}: {finding.field_path}: {finding.message}" for finding in findings]
        orders = [order for intent_order in await self._order_dialogues() for order in intent_order]
        done = self._counted("dialogues", len(orders))
        for settled in await settle(self._dialogues.write, orders, self._worker_count, done):
            if isinstance(settled.outcome, LabelledDialogue):
                product.dialogues.append((settled.item, settled.outcome))
            else:
                product.failures.append(Failure(settled.item.item, settled.outcome))
        return product

    async def _write_policy_sets(self, topics: Sequence[Topic]) -> tuple[PolicySet, ...]:
        """Write policies and join them; which topics share a set is fixed beforehand, whatever fails."""
        done = self._counted("topics", len(topics))
        settled = await settle(self._policies.write, topics, self._worker_count, done)
        size = self._settings.amounts.domains_per_set
        name = self._settings.output.setting.replace("_", "-")
        policy_sets = []
        for number, start in enumerate(range(0, len(settled), size), start=1):
            part = settled[start : start + size]
            self._note_failures(part)
            # A set with an open topic would become another set later, and everything made with it would be paid twice.
            is_open = any(isinstance(one.outcome, Exception) and not _is_final(one.outcome) for one in part)
            domains = [one.outcome for one in part if isinstance(one.outcome, tuple)]
            if domains and not is_open:
                policy_sets.append(make_policy_set(f"{name}-{number:03d}", domains))
        return tuple(policy_sets)

    def _counted(self, name: str, total: int) -> Callable[[], None]:
        advance = self._display(name, total)
        return lambda: advance(f"{name}: {self._ledger.headline}")

    def _note_failures(self, topics: Sequence[Settled[Topic, tuple[RoutePolicy, ...]]]) -> None:
        for topic in topics:
            if isinstance(topic.outcome, ItemError | StopError):
                self._product.failures.append(Failure(topic.item.domain, topic.outcome))

    async def _order_dialogues(self) -> list[list[DialogueOrder]]:
        orders: list[IntentOrder] = order_intents(self._product.policy_sets, self._settings.amounts)
        done = self._counted("intents", len(orders))
        dialogues = []
        for settled in await settle(self._intents.write, orders, self._worker_count, done):
            if isinstance(settled.outcome, ItemError | StopError):
                self._product.failures.append(Failure(settled.item.item, settled.outcome))
            else:
                amounts = self._settings.amounts
                dialogues.append(order_dialogues(settled.item, settled.outcome, self._styles, amounts))
        return dialogues


def _is_final(error: Exception) -> bool:
    return isinstance(error, RejectedError)
