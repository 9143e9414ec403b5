"""What the life of an endpoint needs of a model, besides its scores."""

from typing import Protocol

from archrouter.application.ports import ScoringBackend
from archrouter.domain.scoring import BackendProfile


class Model(ScoringBackend, Protocol):
    """A model of an inference server: it scores, and its life can be watched."""

    async def warm_up(self, *, timeout_s: float) -> BackendProfile:
        """Make one real call and read the model's facts again.

        Args:
            timeout_s: Time for the whole of it, > 0.

        Returns:
            The model that answered.

        Raises:
            UnavailableError: When the inference server or the model does not answer.
            BackendProtocolError: When the model does not keep the tensor contract.
        """
        ...

    async def is_ready(self, *, timeout_s: float) -> bool | None:
        """Ask cheaply whether the model would answer now; None when nobody says so within ``timeout_s``."""
        ...

    async def reconnect(self) -> None:
        """Drop the connection, which may be dead, with the calls on it; no call is scored before the next warm-up."""
        ...

    async def close(self) -> None:
        """Release the connection; the model is not used again."""
        ...
