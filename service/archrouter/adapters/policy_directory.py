"""`PolicySource` over a directory of policy files: a mounted ConfigMap, a git checkout, a synchronised folder."""

from pathlib import Path

from archrouter.adapters.policy_yaml import read_policy_document
from archrouter.adapters.yaml_document import Places, YamlDocument
from archrouter.adapters.yaml_file import display_name, policy_files, read_text
from archrouter.application.ports import PolicyLoad, RejectedSource, SourcedPolicySet
from archrouter.domain.findings import Finding, Severity, quoted
from archrouter.domain.policy import PolicySet


class PolicyDirectory:
    """Policy sets of one directory, a file each. Reads it anew every time and remembers nothing."""

    def __init__(self, path: Path) -> None:
        """Read nothing yet.

        Args:
            path: The directory; it may come into being later.
        """
        self._path = path

    def load(self) -> PolicyLoad:
        """Read every policy file, in the order of their names.

        Returns:
            The usable sets, and the files that hold none. Of two files with the same policy set the first wins. A
            directory that cannot be listed is itself the rejected source. Takes time in proportion to the files'
            sizes, up to seconds for one of `MAX_DOCUMENT_BYTES`.
        """
        try:
            paths = policy_files(self._path)
        except OSError as error:
            message = f"the policy directory cannot be listed: {error.strerror}; create it, or set policies.directory"
            finding = Finding(Severity.ERROR, "", message)
            return PolicyLoad((), (RejectedSource(display_name(self._path), (finding,)),), complete=False)
        accepted: dict[str, SourcedPolicySet] = {}
        rejected: list[RejectedSource] = []
        for path in paths:
            source, document = display_name(path), read_policy_file(path)
            if document.content is None:
                rejected.append(RejectedSource(source, document.findings))
                continue
            sourced = SourcedPolicySet(source, document.content)
            first = accepted.setdefault(sourced.policy_set.id, sourced)
            if first is not sourced:
                rejected.append(RejectedSource(source, (*document.findings, *_duplicate(document, first))))
        return PolicyLoad(tuple(accepted.values()), tuple(rejected))


def read_policy_file(path: Path) -> YamlDocument[PolicySet]:
    """Read one policy file.

    Args:
        path: The file; of any size, kind and content.

    Returns:
        The document; a file that cannot be read gives one with the finding that says why.
    """
    text = read_text(path)
    return YamlDocument(None, (text,), Places()) if isinstance(text, Finding) else read_policy_document(text)


def _duplicate(document: YamlDocument[PolicySet], first: SourcedPolicySet) -> tuple[Finding, ...]:
    name = quoted(first.policy_set.id)
    message = f"{name} is already the policy set of {quoted(first.source)}; give this one another name"
    return document.places.locate((Finding(Severity.ERROR, "policy_set", message),))
