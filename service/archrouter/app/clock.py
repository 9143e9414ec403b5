"""The machine's time."""

import time
from datetime import UTC, datetime


class SystemClock:
    """`Clock` over the operating system."""

    def now(self) -> datetime:
        """Return the wall-clock time, in UTC."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Return seconds that never run backwards; only differences mean anything."""
        return time.perf_counter()
