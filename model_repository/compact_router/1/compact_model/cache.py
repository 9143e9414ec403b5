"""A bounded memory of vectors: the one used longest ago makes room."""

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]


class VectorCache:
    """Vectors by digest. Holds no text; one instance serves one thread, as Triton calls an instance."""

    def __init__(self, capacity: int) -> None:
        """Start empty.

        Args:
            capacity: Vectors kept, >= 1; one of 384 float32 values takes 1.5 KiB.

        Raises:
            ValueError: When ``capacity`` is below 1.
        """
        if capacity < 1:
            msg = f"a cache of {capacity} vectors cannot hold any; give it at least 1"
            raise ValueError(msg)
        self._capacity = capacity
        self._vectors: OrderedDict[bytes, Vector] = OrderedDict()

    def __len__(self) -> int:
        """Count the vectors held."""
        return len(self._vectors)

    def get(self, digest: bytes, compute: Callable[[], Vector]) -> Vector:
        """Look a vector up, or compute and keep it.

        Args:
            digest: What the vector is kept under: a cryptographic digest, so that two texts never share one.
            compute: Called when the vector is not there; nothing is kept when it raises.

        Returns:
            The vector; not to be written to.
        """
        vector = self._vectors.get(digest)
        if vector is None:
            vector = compute()
            self._vectors[digest] = vector
            if len(self._vectors) > self._capacity:
                self._vectors.popitem(last=False)
        self._vectors.move_to_end(digest)
        return vector
