"""The machine's time."""

import time
from datetime import UTC, datetime


class SystemClock:
    """`Clock` over the operating system."""

    monotonic_s = staticmethod(time.perf_counter)

    @staticmethod
    def now() -> datetime:
        """Return the wall-clock time, in UTC."""
        return datetime.now(UTC)
