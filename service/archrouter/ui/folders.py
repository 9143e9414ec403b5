"""The files that the page may open: those of two folders, by their names, and nothing else of this machine."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from archrouter.policy_files.directory import policy_files, suite_files

_REPORT_SUFFIXES = frozenset({".json", ".html"})


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the page's files are; a folder that nobody named has none."""

    policies: Path | None = None
    reports: Path | None = None

    def names(self) -> dict[str, list[str]]:
        """List the names of the policy files, suites and reports that there are now, each sorted."""
        return {kind: [path.name for path in self._paths(kind)] for kind in ("files", "suites", "reports")}

    def text(self, kind: str, name: str) -> str:
        """Read a file of a list of `names`.

        Raises:
            LookupError: When the list has no such file now.
            OSError: When it cannot be read.
            ValueError: When it is not UTF-8.
        """
        for path in self._paths(kind):
            if path.name == name:  # compared, never joined: no name leads out of the folder
                return path.read_text(encoding="utf-8")
        raise LookupError(name)

    def _paths(self, kind: str) -> Iterable[Path]:
        if self.policies and kind == "files":
            return policy_files(self.policies)
        if self.policies and kind == "suites":
            return suite_files(self.policies)
        if self.reports and kind == "reports":
            return sorted(path for path in self.reports.iterdir() if path.suffix in _REPORT_SUFFIXES)
        return ()
