"""A bounded memory: what was used longest ago makes room."""

from collections import OrderedDict
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Cache(Generic[Value]):
    """Values by digest, for any number of threads. Holds no text."""

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
        self._lock = Lock()

    def __len__(self) -> int:
        """Count the values held."""
        return len(self._values)

    def get(self, digest: bytes) -> Value | None:
        """Look a value up.

        Args:
            digest: What it was put under.

        Returns:
            The value, not to be changed; None when it is not there.
        """
        with self._lock:
            if digest in self._values:
                self._values.move_to_end(digest)
            return self._values.get(digest)

    def put(self, digest: bytes, value: Value) -> None:
        """Keep a value.

        Args:
            digest: What it is kept under: a cryptographic digest, so that two texts never share one.
            value: The value.
        """
        with self._lock:
            self._values[digest] = value
            self._values.move_to_end(digest)
            if len(self._values) > self._capacity:
                self._values.popitem(last=False)
