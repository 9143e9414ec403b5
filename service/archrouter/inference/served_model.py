"""A model that is warm only when it is prepared for every policy set that is being served."""

from collections.abc import Callable, Iterable

from archrouter.application.ports import ScoringBackend
from archrouter.domain.errors import ModelNotReadyError, PromptTooLongError
from archrouter.domain.policy import PolicySet
from archrouter.domain.scoring import BackendProfile

RETRY_AFTER_S = 1.0
"""Advised wait while a model is not ready: about as long as one takes that has only lost its connection."""


class ServedModel:
    """Warms a backend up. Policies are read before a server answers, and a server that restarts has forgotten them."""

    def __init__(self, backend: ScoringBackend, policy_sets: Callable[[], Iterable[PolicySet]]) -> None:
        """Ask nothing yet.

        Args:
            backend: Speaks to the model.
            policy_sets: Gives the sets that are being served.
        """
        self._backend = backend
        self._policy_sets = policy_sets

    async def warm_up(self, *, timeout_s: float) -> BackendProfile:
        """Check it, let it answer a real call, and prepare every policy set that is being served.

        Args:
            timeout_s: Time for checks and call, > 0; preparing takes what it takes.

        Returns:
            What it says of itself.

        Raises:
            ArchRouterError: Why it may not take calls.
        """
        profile = await self._backend.warm_up(timeout_s=timeout_s)
        prepared: tuple[PolicySet, ...] = ()
        while (wanted := tuple(self._policy_sets())) != prepared:  # a reload may bring others meanwhile
            for policy_set in wanted:
                await self._prepare(policy_set)
            prepared = wanted
        return profile

    async def is_ready(self, *, timeout_s: float) -> bool:
        """Ask its server; see `ScoringBackend.is_ready`."""
        return await self._backend.is_ready(timeout_s=timeout_s)

    async def _prepare(self, policy_set: PolicySet) -> None:
        try:
            await self._backend.prepare(policy_set)
        except PromptTooLongError as error:
            msg = f"policy set {policy_set.id!r} does not fit this model: {error}"
            raise ModelNotReadyError(msg, retry_after_s=RETRY_AFTER_S) from error
