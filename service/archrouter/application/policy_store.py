"""The loaded policy sets: one immutable snapshot, swapped whole, with the last good revision of every set.

What requests may ask for is prepared before the swap and released after it: the active revision of each set, and so
many earlier ones.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain

from archrouter.application.ports import (
    Clock,
    PolicyMemory,
    PolicySource,
    RejectedSource,
    ScoringBackend,
    SourcedPolicySet,
)
from archrouter.domain.errors import (
    ArchRouterError,
    NoDefaultPolicySetError,
    PolicySetNotFoundError,
    PolicySetRevisionNotFoundError,
)
from archrouter.domain.findings import error_at
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
        loaded: Active sets by id, sorted by id.
        rejected: Sources of the latest load that held no usable set.
        earlier: Revisions of the active sets that a request may still ask for, by id, newest first.
    """

    loaded: Mapping[str, LoadedPolicySet] = field(default_factory=dict)
    rejected: tuple[RejectedSource, ...] = ()
    earlier: Mapping[str, tuple[LoadedPolicySet, ...]] = field(default_factory=dict)

    def policy_sets(self) -> dict[str, PolicySet]:
        """Index every set that a request may ask for by its revision."""
        served = (*self.loaded.values(), *chain.from_iterable(self.earlier.values()))
        return {one.policy_set.revision: one.policy_set for one in served}


class PolicyStore:
    """Holds the snapshot that requests read. A request takes it once; a reload never changes it underneath."""

    def __init__(
        self,
        source: PolicySource,
        backend: ScoringBackend,
        clock: Clock,
        *,
        default_id: str,
        kept_revisions: int = 0,
        memory: PolicyMemory | None = None,
    ) -> None:
        """Start empty.

        Args:
            source: Where sets are read from.
            backend: Prepares each set, and may refuse one, e.g. for its length; releases those that went.
            clock: Gives activation times.
            default_id: Set for requests that name none; empty takes the only set when there is just one.
            kept_revisions: Earlier revisions of each set that requests may still ask for, >= 0.
            memory: Where the last good texts outlive the process; None forgets them with it.
        """
        self._source = source
        self._backend = backend
        self._clock = clock
        self._default_id = default_id
        self._kept_revisions = kept_revisions
        self._memory = memory
        self._snapshot = PolicySnapshot()
        self._is_restart = False

    @property
    def is_restart(self) -> bool:
        """Whether an earlier process served sets that the memory still has."""
        return self._is_restart

    @property
    def snapshot(self) -> PolicySnapshot:
        """The sets being served now."""
        return self._snapshot

    @property
    def default_id(self) -> str | None:
        """Id of the set for requests that name none; None when there is no such set."""
        loaded = self._snapshot.loaded
        if self._default_id:
            return self._default_id if self._default_id in loaded else None
        return next(iter(loaded)) if len(loaded) == 1 else None

    def resolve(self, policy_set_id: str | None, revision: str = "") -> LoadedPolicySet:
        """Find the set a request asks for.

        Args:
            policy_set_id: Its id; None asks for the default.
            revision: The revision that must decide; empty asks for the active one.

        Returns:
            The set being served under that id.

        Raises:
            NoDefaultPolicySetError: When no id is given and there is no default.
            PolicySetNotFoundError: When no set has that id.
            PolicySetRevisionNotFoundError: When the set is served, but not in that revision.
        """
        snapshot = self._snapshot
        wanted = policy_set_id if policy_set_id is not None else self.default_id
        if wanted is None:
            raise NoDefaultPolicySetError
        active = snapshot.loaded.get(wanted)
        if active is None:
            raise PolicySetNotFoundError(wanted)
        if not revision:
            return active
        for one in (active, *snapshot.earlier.get(wanted, ())):
            if one.policy_set.revision == revision:
                return one
        raise PolicySetRevisionNotFoundError(wanted, active.policy_set.revision)

    async def reload(self) -> PolicySnapshot:
        """Read the source anew and serve what is usable; what is not keeps its last good revision.

        Returns:
            The new snapshot, already being served.
        """
        load = await asyncio.to_thread(self._source.load)  # large files take seconds; calls go on meanwhile
        before = self._snapshot if self._snapshot.loaded else await self._recalled()
        accepted: list[SourcedPolicySet] = []
        rejected = list(load.rejected)
        for sourced in load.accepted:
            refusal = await self._refusal(sourced)
            if refusal is None:
                accepted.append(sourced)
            else:
                rejected.append(refusal)
        prepared = {sourced.policy_set.revision: sourced.policy_set for sourced in accepted} | before.policy_sets()
        self._snapshot = self._merge(before, accepted, tuple(rejected), complete=load.complete)
        served = self._snapshot.policy_sets()
        for revision, policy_set in prepared.items():
            if revision not in served:
                self._backend.release(policy_set)
        if self._memory is not None:
            sources = {loaded.source for loaded in self._snapshot.loaded.values()}
            await asyncio.to_thread(self._memory.keep, tuple(accepted), sources)
        return self._snapshot

    async def _recalled(self) -> PolicySnapshot:
        """Return what an earlier process served last, as far as the model takes it; each source then decides anew."""
        recalled = await asyncio.to_thread(self._memory.recall) if self._memory is not None else ()
        usable = [sourced for sourced in recalled if await self._refusal(sourced) is None]
        self._is_restart = bool(usable)
        return PolicySnapshot({sourced.policy_set.id: self._activate(sourced, None) for sourced in usable})

    async def _refusal(self, sourced: SourcedPolicySet) -> RejectedSource | None:
        """Prepare a set that is new, or say why no model takes it, which keeps no other from serving."""
        if sourced.policy_set.revision in self._snapshot.policy_sets():
            return None
        try:
            await self._backend.prepare(sourced.policy_set)
        except (ArchRouterError, ValueError) as error:
            return RejectedSource(sourced.source, (error_at("routes", str(error)),))
        return None

    def _merge(
        self,
        before: PolicySnapshot,
        accepted: list[SourcedPolicySet],
        rejected: tuple[RejectedSource, ...],
        *,
        complete: bool,
    ) -> PolicySnapshot:
        loaded = {one.policy_set.id: self._activate(one, before.loaded.get(one.policy_set.id)) for one in accepted}
        unusable = {source.source for source in rejected}
        # A bad file that is new may be the new name of one that went, so then nothing is taken away.
        complete = complete and unusable <= {last_good.source for last_good in before.loaded.values()}
        for policy_set_id, last_good in before.loaded.items():
            if policy_set_id not in loaded and (last_good.source in unusable or not complete):
                loaded[policy_set_id] = replace(last_good, stale=True)
        earlier = {policy_set_id: self._earlier(before, active) for policy_set_id, active in loaded.items()}
        return PolicySnapshot(dict(sorted(loaded.items())), rejected, earlier)

    def _earlier(self, before: PolicySnapshot, active: LoadedPolicySet) -> tuple[LoadedPolicySet, ...]:
        policy_set = active.policy_set
        last = (before.loaded[policy_set.id],) if policy_set.id in before.loaded else ()
        others = (*last, *before.earlier.get(policy_set.id, ()))
        kept = [replace(one, stale=False) for one in others if one.policy_set.revision != policy_set.revision]
        return tuple(kept[: self._kept_revisions])

    def _activate(self, sourced: SourcedPolicySet, before: LoadedPolicySet | None) -> LoadedPolicySet:
        unchanged = before is not None and before.policy_set.revision == sourced.policy_set.revision
        activate_time = before.activate_time if before is not None and unchanged else self._clock.now()
        return LoadedPolicySet(sourced.policy_set, sourced.source, activate_time)
