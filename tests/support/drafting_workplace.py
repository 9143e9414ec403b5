"""A workplace for runs of `data.drafting`: settings, an output folder, a recorded endpoint."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from data.drafting.cli import main
from tests.support.recorded_endpoint import RecordedEndpoint

ROLES = ("policy_writer", "policy_reviewer", "intent_writer", "dialogue_writer", "labeller")

# Small and quick: two user turns always, waits of milliseconds.
SETTINGS: dict[str, dict[str, object]] = {
    "endpoint": {"timeout_s": 20.0, "max_concurrent_requests": 3},
    "amounts": {
        "seed": 3,
        "topics": 2,
        "domains_per_set": 2,
        "actions_per_domain": 2,
        "intents_per_policy": 1,
        "uncovered_intents_per_set": 1,
        "min_user_turns": 2,
        "max_user_turns": 2,
    },
    "attempts": {"initial_wait_s": 0.01, "max_wait_s": 0.02},
    "budget": {"calls": 200},
}


@dataclass(frozen=True, slots=True)
class Workplace:
    """Files of one test, and the endpoint they name.

    Attributes:
        folder: Everything the test writes.
        endpoint: The recorded endpoint.
        topics: Where policies are written about.
        policies: A team's own policy file.
        build: The folder of the build programs.
    """

    folder: Path
    endpoint: RecordedEndpoint
    topics: Path
    policies: Path
    build: Path

    @property
    def out(self) -> Path:
        """The output folder."""
        return self.folder / "out"

    @property
    def journal(self) -> Path:
        """The journal in it."""
        return self.out / "run" / "journal.jsonl"

    def configure(self, **sections: dict[str, object]) -> None:
        """Write the settings: the defaults above with some keys changed."""
        lines = []
        for name in ("endpoint", "amounts", "attempts", "budget"):
            base_url = {"base_url": self.endpoint.base_url} if name == "endpoint" else {}
            lines.append(f"[{name}]")
            lines += [f"{k} = {json.dumps(v)}" for k, v in (SETTINGS[name] | base_url | sections.get(name, {})).items()]
        for role in ROLES:
            lines += [f"[roles.{role}]", f'model = "{role}-model"', "temperature = 0.5"]
            lines += ["input_price = 1.0", "output_price = 2.0"]
        (self.folder / "settings.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def arguments(self, *, policies: bool = False) -> list[str]:
        """Give the command line of a run."""
        source = ["--policies", str(self.policies)] if policies else ["--topics", str(self.topics)]
        return [str(self.folder / "settings.toml"), "--out", str(self.out), *source]

    def run(self, *more: str, policies: bool = False) -> Result:
        """Run the program in this process."""
        return CliRunner().invoke(main, [*self.arguments(policies=policies), *more], catch_exceptions=False)

    def start(self, *more: str) -> "subprocess.Popen[str]":
        """Run the program in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "data.drafting", *self.arguments(), *more],
            env={**os.environ, "PYTHONPATH": str(self.build)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def summary(self) -> Any:  # noqa: ANN401 - JSON of a shape the tests know
        """Read the summary of the last run."""
        return json.loads((self.out / "run" / "summary.json").read_text(encoding="utf-8"))

    def data(self) -> dict[str, bytes]:
        """Read the files of the data, without journal and summary."""
        files = [*self.out.glob("*.jsonl"), *self.out.glob("policies/*.json")]
        return {str(path.relative_to(self.out)): path.read_bytes() for path in files}

    def records(self) -> list[Any]:
        """Read the records."""
        return [json.loads(line) for line in (self.out / "drafted.jsonl").read_text(encoding="utf-8").splitlines()]
