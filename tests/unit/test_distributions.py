"""The three distributions of this repository, as their metadata describe them."""

import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

FOLDERS = {"archrouter": ".", "archrouter-client": "clients/python", "archrouter-evaluation": "benchmarks/evaluation"}


# Any: what TOML gives.
@pytest.fixture
def projects(root: Path) -> dict[str, dict[str, Any]]:
    """Return the project table of each distribution."""
    files = {name: root / folder / "pyproject.toml" for name, folder in FOLDERS.items()}
    return {name: tomllib.loads(file.read_text(encoding="utf-8"))["project"] for name, file in files.items()}


def test_the_distributions_share_one_version(projects: dict[str, dict[str, Any]]) -> None:
    """A release is all three, and each asks for the others at its own version exactly."""
    versions = {project["version"] for project in projects.values()}
    (version,) = versions
    needed = [
        requirement
        for project in projects.values()
        for requirement in [
            *project["dependencies"],
            *chain.from_iterable(project.get("optional-dependencies", {}).values()),
        ]
        if requirement.startswith("archrouter")
    ]

    assert {name: project["name"] for name, project in projects.items()} == {name: name for name in FOLDERS}
    assert {f"{name}=={version}" for name in FOLDERS} == set(needed)


def test_a_library_has_one_range_in_every_distribution(projects: dict[str, dict[str, Any]]) -> None:
    """What two distributions need, both need in the same versions."""
    ranges: dict[str, set[str]] = {}
    for project in projects.values():
        for requirement in project["dependencies"]:
            name = requirement.partition(">=")[0]
            ranges.setdefault(name, set()).add(requirement)

    assert {} == {name: found for name, found in ranges.items() if len(found) > 1}


def test_no_distribution_owns_the_namespace(root: Path) -> None:
    """An __init__.py in one part of the namespace would hide the other parts."""
    parts = [root / "clients" / "python", root / "service", root / "benchmarks" / "evaluation"]

    assert [] == [part for part in parts if not (part / "archrouter").is_dir()]
    assert [] == [part for part in parts if (part / "archrouter" / "__init__.py").exists()]


def test_every_distribution_carries_the_licence(root: Path) -> None:
    """A source distribution cannot point outside its folder, so each has a copy of the same text."""
    texts = {(root / folder / "LICENSE").read_text(encoding="utf-8") for folder in FOLDERS.values()}

    assert 1 == len(texts)
    assert [] == [folder for folder in FOLDERS.values() if (root / folder / "LICENSE").is_symlink()]
