"""A bounded memory: what was used longest ago makes room."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Cache(Generic[Value]):
    """Values by digest. Holds no text; one instance serves one thread, as Triton calls an instance."""

    def __init__(self, capacity: int) -> None:
        """Start empty.

        Args:
            capacity: Values kept, >= 1.

        Raises:
            ValueError: When ``capacity`` is below 1.
        """
        if capacity < 1:
            msg = f"a cache of {capacity} values cannot hold any; give it at least 1"
            raise ValueError(msg)
        self._capacity = capacity
        self._values: OrderedDict[bytes, Value] = OrderedDict()

    def __len__(self) -> int:
        """Count the values held."""
        return len(self._values)

    def get(self, digest: bytes, compute: Callable[[], Value]) -> Value:
        """Look a value up, or compute and keep it.

        Args:
            digest: What the value is kept under: a cryptographic digest, so that two texts never share one.
            compute: Called when the value is not there; nothing is kept when it raises.

        Returns:
            The value; not to be changed.
        """
        if digest in self._values:
            self._values.move_to_end(digest)
            return self._values[digest]
        value = self._values[digest] = compute()
        if len(self._values) > self._capacity:
            self._values.popitem(last=False)
        return value
