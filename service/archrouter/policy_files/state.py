"""`PolicyMemory` as a folder: a copy of each policy file as it was when it last served."""

from collections.abc import Set as AbstractSet
from pathlib import Path

import structlog

from archrouter.application.ports import SourcedPolicySet
from archrouter.policy_files.directory import PolicyDirectory, policy_files
from archrouter.whole_files import write_whole

_log = structlog.get_logger(__name__)


class PolicyState:
    """The last good policy files, under their own names, so that `archrouter check` reads the folder like any other."""

    def __init__(self, directory: Path, policies: Path) -> None:
        """Make the folder where it is missing.

        Args:
            directory: The folder; several processes may share it.
            policies: The folder of the policies themselves, which it must not be.

        Raises:
            OSError: When it cannot be made.
            ValueError: When it is the folder of the policies.
        """
        directory.mkdir(parents=True, exist_ok=True)
        if policies.exists() and directory.samefile(policies):
            msg = f"policies.state_directory is policies.directory ({str(policies)!r}); give it a folder of its own"
            raise ValueError(msg)
        self._directory = directory

    def recall(self) -> tuple[SourcedPolicySet, ...]:
        """Read the copies; one that is no usable set any more is left out."""
        return PolicyDirectory(self._directory).load().accepted

    def keep(self, accepted: tuple[SourcedPolicySet, ...], sources: AbstractSet[str]) -> None:
        """Copy what was accepted, and remove the copies of what is no source any more.

        A full disk costs the copy, never the decision: it is logged, and the copy of before stays.
        """
        try:
            for sourced in accepted:
                path, content = self._directory / sourced.source, sourced.text.encode()
                if not path.exists() or path.read_bytes() != content:
                    write_whole(path, content, mode=0o600)
            for path in policy_files(self._directory):
                if path.name not in sources:
                    path.unlink(missing_ok=True)
        except OSError as error:
            _log.error("policy_state_not_written", directory=str(self._directory), reason=str(error))
