"""Stand-in for the configuration classes of ``tensorrt_llm.llmapi``."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(slots=True, kw_only=True)
class KvCacheConfig:
    """The fields that are used, with upstream's defaults."""

    enable_block_reuse: bool = True
    max_tokens: int | None = None
    free_gpu_memory_fraction: float | None = 0.9
    tokens_per_block: int = 32


@dataclass(frozen=True, slots=True)
class KvCacheRetentionConfig:
    """Which blocks to keep."""

    @dataclass(frozen=True, slots=True)
    class TokenRangeRetentionConfig:
        """One range of prompt tokens."""

        token_start: int
        token_end: int | None
        priority: int
        duration_ms: timedelta | None = None

    token_range_retention_configs: list[TokenRangeRetentionConfig]
    decode_retention_priority: int = 35
    decode_duration_ms: timedelta | None = None
