"""Policy sets from a file or a folder, for commands that must not pass over one that cannot be used."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from archrouter.domain.findings import Finding, has_errors
from archrouter.domain.policy import PolicySet
from archrouter.domain.suite import Suite, check_suite_routes
from archrouter.policy_files.directory import policy_files, read_policy_file, read_suite_file
from archrouter.strict_yaml.document import LocatedFinding


class WorkbenchError(Exception):
    """Something that a command was given cannot be used; the text names the file, the place and the remedy."""


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A policy set and the file that holds it."""

    path: Path
    policy_set: PolicySet


def read_policy_files(path: Path) -> dict[str, PolicyFile]:
    """Read a policy file, or every one of a folder.

    Args:
        path: A file or a folder; it exists.

    Returns:
        At least one set, by id.

    Raises:
        WorkbenchError: When there is none, one cannot be used, or two have the same id.
    """
    files: dict[str, PolicyFile] = {}
    for file in policy_files(path) if path.is_dir() else (path,):
        document = read_policy_file(file)
        if document.content is None:
            raise unusable(file, "policy set", document.findings)
        first = files.setdefault(document.content.id, PolicyFile(file, document.content))
        if first.path is not file:
            msg = f"{file}: {document.content.id!r} is already the policy set of {first.path}; rename one of them"
            raise WorkbenchError(msg)
    if not files:
        msg = f"{path}: holds no policy file (*.yaml)"
        raise WorkbenchError(msg)
    return files


def read_suite(path: Path, policy_sets: Mapping[str, PolicySet] | None = None) -> Suite:
    """Read a suite.

    Args:
        path: The file.
        policy_sets: Sets by id; a suite of one of them may expect no route that it does not have.

    Raises:
        WorkbenchError: With every finding.
    """
    document = read_suite_file(path)
    findings, suite = document.findings, document.content
    if suite is not None and (policy_set := (policy_sets or {}).get(suite.policy_set_id)):
        findings = (*findings, *document.places.locate(check_suite_routes(suite, policy_set)))
    if suite is None or has_errors(findings):
        raise unusable(path, "suite", findings)
    return suite


def unusable(path: Path, what: str, findings: Iterable[Finding]) -> WorkbenchError:
    """Make the error of a file that cannot be used, with a line for each finding."""
    lines = "".join(f"\n  {LocatedFinding(path, finding)}" for finding in findings)
    return WorkbenchError(f"the {what} cannot be used:{lines}")


@dataclass(frozen=True, slots=True)
class Pair:
    """The same set before and after a change."""

    old: PolicySet
    new: PolicySet


def pair_sets(old: Mapping[str, PolicyFile], new: Mapping[str, PolicyFile]) -> dict[str, Pair]:
    """Match the sets of two folders by id; where each has but one, these two, whatever their ids.

    Args:
        old: Sets by id, at least one.
        new: The same.

    Returns:
        Pairs by the old set's id, at least one.

    Raises:
        WorkbenchError: When no id is in both.
    """
    if len(old) == len(new) == 1:
        (old_id, before), (_, after) = *old.items(), *new.items()
        return {old_id: Pair(before.policy_set, after.policy_set)}
    pairs = {
        policy_set_id: Pair(file.policy_set, new[policy_set_id].policy_set)
        for policy_set_id, file in old.items()
        if policy_set_id in new
    }
    if not pairs:
        msg = f"no policy set is in both: OLD has {', '.join(old)}, NEW has {', '.join(new)}"
        raise WorkbenchError(msg)
    return pairs
