"""Paths on the command line as policy files and policy suites."""

from collections.abc import Sequence
from pathlib import Path

import click

from archrouter.domain.policy import PolicySet
from archrouter.policy_files.directory import policy_files, read_policy_file, suite_files

EXISTING_PATHS = click.Path(exists=True, path_type=Path)
EXISTING_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
SUITE_ENDING = "_test"


def policy_paths(paths: Sequence[Path]) -> list[Path]:
    """List the files that are no suites, and the policy files of the folders; each once."""
    files = [file for path in paths for file in (policy_files(path) if path.is_dir() else [path])]
    return [file for file in dict.fromkeys(files) if not file.stem.endswith(SUITE_ENDING)]


def suite_paths(paths: Sequence[Path], *, any_name: bool = False) -> list[Path]:
    """List the suites among files and folders, each once; `any_name` takes every file, whatever its name."""
    files = [
        file
        for path in paths
        for file in (
            suite_files(path) if path.is_dir() else [path] if any_name or path.stem.endswith(SUITE_ENDING) else []
        )
    ]
    return list(dict.fromkeys(files))


def read_policy_sets(directory: Path) -> dict[str, PolicySet]:
    """Read the usable policy sets of a folder by id; of two with the same id the first, as the service does."""
    documents = [read_policy_file(path) for path in policy_files(directory)]
    policy_sets: dict[str, PolicySet] = {}
    for document in documents:
        if document.content is not None:
            policy_sets.setdefault(document.content.id, document.content)
    return policy_sets
