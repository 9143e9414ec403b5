"""The loaded policy sets: one immutable snapshot, swapped whole, with the last good revision of every set."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from archrouter.application.ports import Clock, PolicySource, RejectedSource, ScoringBackend, SourcedPolicySet
from archrouter.domain.errors import ArchRouterError, NoDefaultPolicySetError, PolicySetNotFoundError
from archrouter.domain.findings import Finding, Severity
from archrouter.domain.policy import PolicySet


@dataclass(frozen=True, slots=True)
class LoadedPolicySet:
    """A policy set that is being served.

    Attributes:
        policy_set: The set.
        source: File it came from.
        activate_time: When this revision started to serve, UTC.
        stale: Whether its source has since become unusable, so that this is the last good revision.
    """

    policy_set: PolicySet
    source: str
    activate_time: datetime
    stale: bool = False


@dataclass(frozen=True, slots=True)
class PolicySnapshot:
    """All sets that are being served at one moment.

    Attributes:
        loaded: Sets by id, sorted by id.
        rejected: Sources of the latest load that held no usable set.
    """

    loaded: Mapping[str, LoadedPolicySet] = field(default_factory=dict)
    rejected: tuple[RejectedSource, ...] = ()


class PolicyStore:
    """Holds the snapshot that requests read. A request takes it once; a reload never changes it underneath."""

    def __init__(self, source: PolicySource, backend: ScoringBackend, clock: Clock, *, default_id: str) -> None:
        """Start empty.

        Args:
            source: Where sets are read from.
            backend: Prepares each set, and may refuse one, e.g. for its length; releases those that went.
            clock: Gives activation times.
            default_id: Set for requests that name none; empty takes the only set when there is just one.
        """
        self._source = source
        self._backend = backend
        self._clock = clock
        self._default_id = default_id
        self._snapshot = PolicySnapshot()

    @property
    def snapshot(self) -> PolicySnapshot:
        """The sets being served now."""
        return self._snapshot

    def served_policy_sets(self) -> tuple[PolicySet, ...]:
        """List the sets being served now, in the order of their ids."""
        return tuple(loaded.policy_set for loaded in self._snapshot.loaded.values())

    @property
    def default_id(self) -> str | None:
        """Id of the set for requests that name none; None when there is no such set."""
        loaded = self._snapshot.loaded
        if self._default_id:
            return self._default_id if self._default_id in loaded else None
        return next(iter(loaded)) if len(loaded) == 1 else None

    def resolve(self, policy_set_id: str | None) -> LoadedPolicySet:
        """Find the set a request asks for.

        Args:
            policy_set_id: Its id; None asks for the default.

        Returns:
            The set being served under that id.

        Raises:
            NoDefaultPolicySetError: When no id is given and there is no default.
            PolicySetNotFoundError: When no set has that id.
        """
        wanted = policy_set_id if policy_set_id is not None else self.default_id
        if wanted is None:
            raise NoDefaultPolicySetError
        try:
            return self._snapshot.loaded[wanted]
        except KeyError:
            raise PolicySetNotFoundError(wanted) from None

    async def reload(self) -> PolicySnapshot:
        """Read the source anew and serve what is usable; what is not keeps its last good revision.

        Returns:
            The new snapshot, already being served.
        """
        load = await asyncio.to_thread(self._source.load)  # large files take seconds; calls go on meanwhile
        accepted: list[SourcedPolicySet] = []
        rejected = list(load.rejected)
        for sourced in load.accepted:
            try:
                await self._backend.prepare(sourced.policy_set)
            except (ArchRouterError, ValueError) as error:  # one set that no model takes keeps no other from serving
                finding = Finding(Severity.ERROR, "routes", str(error))
                rejected.append(RejectedSource(sourced.source, (finding,)))
            else:
                accepted.append(sourced)
        before, self._snapshot = self._snapshot, self._merge(accepted, tuple(rejected), complete=load.complete)
        served = {policy_set.revision for policy_set in self.served_policy_sets()}
        for loaded in before.loaded.values():
            if loaded.policy_set.revision not in served:
                self._backend.release(loaded.policy_set)
        return self._snapshot

    def _merge(
        self, accepted: list[SourcedPolicySet], rejected: tuple[RejectedSource, ...], *, complete: bool
    ) -> PolicySnapshot:
        before = self._snapshot.loaded
        loaded = {sourced.policy_set.id: self._activate(sourced) for sourced in accepted}
        unusable = {source.source for source in rejected}
        for policy_set_id, last_good in before.items():
            if policy_set_id not in loaded and (last_good.source in unusable or not complete):
                loaded[policy_set_id] = replace(last_good, stale=True)
        return PolicySnapshot(dict(sorted(loaded.items())), rejected)

    def _activate(self, sourced: SourcedPolicySet) -> LoadedPolicySet:
        before = self._snapshot.loaded.get(sourced.policy_set.id)
        unchanged = before is not None and before.policy_set.revision == sourced.policy_set.revision
        activate_time = before.activate_time if before is not None and unchanged else self._clock.now()
        return LoadedPolicySet(sourced.policy_set, sourced.source, activate_time)
