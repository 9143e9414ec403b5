"""What a contributor meets first: the workflow, the hooks and the pages, as far as they can be checked here."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

LINK = re.compile(r"\]\((?P<target>[^)#:]+)\)")


# Any: what YAML gives.
@pytest.fixture
def workflow(root: Path) -> dict[str, Any]:
    """Return the workflow."""
    document = yaml.safe_load((root / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def test_the_workflow_runs_what_people_run(workflow: dict[str, Any]) -> None:
    """CI has no check of its own: it prepares a machine and runs the one command, within a time limit."""
    (job,) = workflow["jobs"].values()

    assert ".ci/run" == job["steps"][-1]["run"]
    assert 0 < job["timeout-minutes"] <= 120


def test_the_workflow_may_only_read_and_pins_its_actions(workflow: dict[str, Any]) -> None:
    """Its token cannot write, and no action changes its major version unseen."""
    actions = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]

    assert {"contents": "read"} == workflow["permissions"]
    assert actions
    assert [] == [action for action in actions if not re.fullmatch(r"actions/[a-z-]+@v[0-9]+", action)]


def test_hooks_use_the_tools_of_the_project(root: Path) -> None:
    """A hook runs the version that CI runs, and fetches nothing."""
    document = yaml.safe_load((root / ".pre-commit-config.yaml").read_text(encoding="utf-8"))

    assert ["local"] == [repository["repo"] for repository in document["repos"]]
    hooks = [hook for repository in document["repos"] for hook in repository["hooks"]]
    assert {"system"} == {hook["language"] for hook in hooks}
    assert [] == [hook["id"] for hook in hooks if not hook["entry"].startswith((".venv/bin/", ".ci/"))]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/newcomer.md"])
def test_links_of_the_first_pages_lead_somewhere(root: Path, page: str) -> None:
    """Who follows a link of the pages read first finds the file."""
    file = root / page
    targets = [match["target"] for match in LINK.finditer(file.read_text(encoding="utf-8"))]

    assert targets
    assert [] == [target for target in targets if not (file.parent / target).exists()]


def test_rooms_of_the_contributing_page_exist(root: Path) -> None:
    """Every room of the service is in the table, and the table names no other."""
    page = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `service/")]
    named = {name.rpartition("/")[2] for row in rows for name in re.findall(r"`([^`]+)`", row)}
    rooms = {path.name for path in (root / "service" / "archrouter").iterdir() if any(path.glob("*.py"))}

    assert rooms - {"observability"} == named
