"""A run on a real endpoint: everything wired together, signals heard, files written."""

import asyncio
import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from archrouter.cli.console import note
from archrouter.domain.policy import PolicySet
from data.drafting.caller import Caller
from data.drafting.endpoint import ChatEndpoint
from data.drafting.errors import InterruptedRunError, StopError
from data.drafting.journal import Journal
from data.drafting.ledger import Ledger
from data.drafting.plan import make_plan
from data.drafting.prompts import PromptLibrary
from data.drafting.records import Provenance, write_records
from data.drafting.report import Report
from data.drafting.run import Display, Product, Run
from data.drafting.sender import Sender
from data.drafting.settings import Settings
from data.drafting.stop import StopSignal
from data.drafting.styles import read_styles
from data.drafting.topics import Topic
from data.folders import replaced_file

RUN_FOLDER = "run"
"""Inside the output folder; the benchmark's reader looks at files only, so the journal is not taken for data."""

JOURNAL_FILE = "journal.jsonl"
SUMMARY_FILE = "summary.json"


@dataclass(frozen=True, slots=True)
class Job:
    """What to do.

    Attributes:
        settings: What to make, with what.
        source: The policy set to make data for, or the topics to write policies about.
        key: The API key; None when the endpoint wants none.
        directory: The output folder.
    """

    settings: Settings
    source: PolicySet | Sequence[Topic]
    key: SecretStr | None
    directory: Path

    @property
    def policy_set(self) -> PolicySet | None:
        """The team's own policy set, when it has one."""
        return self.source if isinstance(self.source, PolicySet) else None


async def run_job(job: Job, display: Display) -> Report:
    """Do a job, or go on with it; whatever is finished is on disk.

    Raises:
        SetupError: When it cannot begin.
    """
    stop = StopSignal()
    prompts = PromptLibrary()
    plan = make_plan(job.settings, job.policy_set)
    with Journal(job.directory / RUN_FOLDER / JOURNAL_FILE) as journal:
        ledger = Ledger(job.settings.budget, job.settings.roles, journal.entries)
        async with ChatEndpoint(job.settings.endpoint, job.key) as endpoint:
            sender = Sender(endpoint, job.settings.endpoint, job.settings.attempts, ledger, stop)
            caller = Caller(job.settings, prompts, journal, ledger, sender, stop)
            run = Run(job.settings, caller, prompts, ledger, read_styles(), display)
            with _signals_heard(stop):
                product = await run.make(job.source)
    report = Report(plan, product, ledger, stop.reason, job.settings.budget.min_yield)
    _write(job, prompts, product, report)
    return report


def _write(job: Job, prompts: PromptLibrary, product: Product, report: Report) -> None:
    provenance = Provenance(job.settings.output, job.settings.roles, prompts.references)
    records = [provenance.record(order, dialogue) for order, dialogue in product.dialogues]
    if records:  # a run that could do nothing leaves the data of an earlier one alone
        used = {order.policy_set.id for order, _ in product.dialogues}
        policy_sets = [policy_set for policy_set in product.policy_sets if policy_set.id in used]
        write_records(job.directory, job.settings.output.setting, records, policy_sets)
    made_by = {
        "models": {role.role.value: role.model for role in report.plan.roles},
        "prompts": prompts.references,
    }
    document = json.dumps(report.document() | made_by, ensure_ascii=False, indent=2)
    with replaced_file(job.directory / RUN_FOLDER / SUMMARY_FILE) as file:
        file.write(document + "\n")


@contextmanager
def _signals_heard(stop: StopSignal) -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM end the run in order; a second one has its usual effect."""
    loop = asyncio.get_running_loop()
    kinds = (signal.SIGINT, signal.SIGTERM)

    def hear(kind: signal.Signals) -> None:
        for one in kinds:
            loop.remove_signal_handler(one)
        note(f"{kind.name}: waiting for the answers that are on their way; once more gives them up")
        stop.set(_interruption(kind))

    for kind in kinds:
        loop.add_signal_handler(kind, hear, kind)
    try:
        yield
    finally:
        for kind in kinds:
            loop.remove_signal_handler(kind)


def _interruption(kind: signal.Signals) -> StopError:
    return InterruptedRunError(f"{kind.name}; run the same command again to go on")
