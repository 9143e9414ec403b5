"""`PolicySource` over a directory of policy files: a mounted ConfigMap, a git checkout, a synchronised folder."""

import os
from pathlib import Path

from archrouter.application.ports import PolicyLoad, RejectedSource, SourcedPolicySet
from archrouter.domain.findings import Finding, error_at, quoted
from archrouter.domain.policy import PolicySet
from archrouter.domain.suite import Suite
from archrouter.policy_files.policies import read_policy_document
from archrouter.policy_files.suites import read_suite_document
from archrouter.strict_yaml.document import YamlDocument, read_file
from archrouter.strict_yaml.nodes import read_text

_SUFFIXES = frozenset({".yaml", ".yml"})
_SUITE_ENDING = "_test"


class PolicyDirectory:
    """Policy sets of one directory, a file each. Reads it again every time and remembers nothing."""

    def __init__(self, path: Path) -> None:
        """Read nothing yet; the directory may come into being later."""
        self._path = path

    def load(self) -> PolicyLoad:
        """Read every policy file, in the order of their names.

        Returns:
            The usable sets, and the files that hold none. Of two files with the same policy set the first wins. A
            directory that cannot be listed is itself the rejected source; so is one without any policy file, which is
            what a folder is whose content could not be mounted. Takes time in proportion to the files' sizes, up to
            seconds for one of `MAX_DOCUMENT_BYTES`.
        """
        try:
            paths = policy_files(self._path)
        except OSError as error:
            return self._unusable(f"cannot be listed: {error.strerror}; create it")
        if not paths:
            return self._unusable("holds no policy file; write one")
        accepted: dict[str, SourcedPolicySet] = {}
        rejected: list[RejectedSource] = []
        for path in paths:
            source, text = display_name(path), read_text(path)
            if isinstance(text, Finding):
                rejected.append(RejectedSource(source, (text,)))
                continue
            document = read_policy_document(text)
            if document.content is None:
                rejected.append(RejectedSource(source, document.findings))
                continue
            sourced = SourcedPolicySet(source, document.content, text)
            first = accepted.setdefault(sourced.policy_set.id, sourced)
            if first is not sourced:
                rejected.append(RejectedSource(source, (*document.findings, *_duplicate(document, first))))
        return PolicyLoad(tuple(accepted.values()), tuple(rejected))

    def _unusable(self, problem: str) -> PolicyLoad:
        finding = error_at("", f"the policy directory {problem}, or set policies.directory")
        return PolicyLoad((), (RejectedSource(display_name(self._path), (finding,)),), complete=False)


def read_policy_file(path: Path) -> YamlDocument[PolicySet]:
    """Read one policy file; one that cannot be read gives a document with the finding that says why."""
    return read_file(path, read_policy_document)


def read_suite_file(path: Path) -> YamlDocument[Suite]:
    """Read one suite file; the same holds as for `read_policy_file`."""
    return read_file(path, read_suite_document)


def _duplicate(document: YamlDocument[PolicySet], first: SourcedPolicySet) -> tuple[Finding, ...]:
    name = quoted(first.policy_set.id)
    message = f"{name} is already the policy set of {quoted(first.source)}; give this one another name"
    return document.places.locate((error_at("policy_set", message),))


def policy_files(directory: Path) -> tuple[Path, ...]:
    """List the policy files of a directory, without those of its folders, sorted by name.

    Returns:
        ``*.yaml`` and ``*.yml`` without the suites and without names that begin with a dot, which editors and
        Kubernetes keep for themselves.

    Raises:
        OSError: When the directory cannot be listed.
    """
    return tuple(path for path in _yaml_files(directory) if not path.stem.endswith(_SUITE_ENDING))


def suite_files(directory: Path) -> tuple[Path, ...]:
    """List the policy suites of a directory, ``*_test.yaml`` and ``*_test.yml``; raises as `policy_files` does."""
    return tuple(path for path in _yaml_files(directory) if path.stem.endswith(_SUITE_ENDING))


def display_name(path: Path) -> str:
    """Name a file without the directories above it; bytes that are not UTF-8 become U+FFFD."""
    return os.fsencode(path.name or path).decode(errors="replace")


def _yaml_files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.suffix in _SUFFIXES and not path.name.startswith("."))
