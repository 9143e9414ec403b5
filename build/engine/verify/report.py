"""What checks found, what it is measured against, and the report of it for machines and for people."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path

JSON_FILE, MARKDOWN_FILE = "verify.json", "verify.md"
QUANTILE = 0.95
"""Rounding has no hard bound: a few values may lie outside."""


class Verdict(Enum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105  # a verdict, not a secret
    FAIL = "fail"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the report."""

    name: str
    verdict: Verdict
    measured: str
    limit: str
    remedy: str = ""
    figures: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(
        cls, name: str, measured: str, *, limit: str, passed: bool, remedy: str, figures: Mapping[str, object]
    ) -> "Check":
        """Make a check that was measured."""
        if passed:
            return cls(name, Verdict.PASS, measured, limit, "", figures)
        return cls(name, Verdict.FAIL, measured, limit, remedy, figures)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What an endpoint must reach. The bounds on numbers are those of bfloat16; docs/engine.md derives them."""

    min_route_agreement: float = 0.99  # share of questions on which endpoint and oracle choose the same route
    max_probability_difference: float = 0.06  # over a question's candidates, for `QUANTILE` of the questions
    max_logit_difference: float = 0.25  # between a call alone and among others, for `QUANTILE` of the calls


@dataclass(frozen=True, slots=True)
class Report:
    """What was checked, against what, and how it ended."""

    endpoint: str
    model: str
    model_version: str
    checkpoint: str
    questions_digest: str
    question_count: int
    left_out: Sequence[str]
    thresholds: Thresholds
    checks: Sequence[Check]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(check.verdict is not Verdict.FAIL for check in self.checks)

    def document(self) -> dict[str, object]:
        """Return what JSON can hold."""
        checks = [{**asdict(check), "verdict": check.verdict.value} for check in self.checks]
        return {"format": 1, "passed": self.passed, **asdict(self), "checks": checks}

    def markdown(self) -> str:
        """Return a table, and the remedy of each failure."""
        rows = [
            f"| {check.name} | {check.verdict.value} | {_cell(check.measured)} | {_cell(check.limit)} |"
            for check in self.checks
        ]
        remedies = [f"- {check.name}: {check.remedy}" for check in self.checks if check.remedy]
        left_out = f", {len(self.left_out)} left out because this model cannot take their policies"
        lines = [
            f"# Verification of {self.model}: {'passed' if self.passed else 'FAILED'}",
            "",
            f"- endpoint: {self.endpoint}",
            f"- model_version: {self.model_version}",
            f"- checkpoint: {self.checkpoint}",
            f"- questions: {self.question_count}{left_out if self.left_out else ''}, {self.questions_digest}",
            "",
            "| check | result | measured | limit |",
            "| --- | --- | --- | --- |",
            *rows,
        ]
        return "\n".join([*lines, *(["", "What to do:", "", *remedies] if remedies else [])]) + "\n"

    def write(self, directory: Path) -> None:
        """Write both forms; the JSON last, so that it is there only when all is."""
        document = json.dumps(self.document(), ensure_ascii=False, indent=1) + "\n"
        write_files(directory, {MARKDOWN_FILE: self.markdown(), JSON_FILE: document})


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def write_files(directory: Path, contents: Mapping[str, str]) -> None:
    """Write text files in the given order, each whole."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        scratch = directory / f".{name}.part"
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(directory / name)
