"""What an engine takes on disk and on the GPU, by arithmetic."""

from dataclasses import dataclass
from math import prod

from engine.geometry import Geometry
from engine.precision import Precision
from engine.settings import EngineLimits
from engine.weights import EMBEDDING, OUTPUT_LAYER, Weights

_HALF_BYTES = 2
_FLOAT_BYTES = 4
_KEYS_AND_VALUES = 2
_LOGITS_CACHE_ROWS = 8  # TensorRT-LLM, runtimeBuffers.cpp: rows kept for each slot of the batch
_WEIGHT_BYTES = {Precision.BF16: 2.0, Precision.FP8: 1.0, Precision.INT8_WO: 1.0, Precision.INT4_AWQ: 0.5}


@dataclass(frozen=True, slots=True)
class EngineSize:
    """Bytes of an engine's weights: between the two, as the compiler ties the output layer or not.

    Attributes:
        least: With an output layer that shares the embedding.
        most: With one of its own.
    """

    least: int
    most: int


def engine_size(weights: Weights, geometry: Geometry, precision: Precision, awq_block_size: int) -> EngineSize:
    """Estimate the engine: embedding and output layer in 16 bits, the rest in the precision's width.

    Args:
        weights: Of the checkpoint.
        geometry: Of the same.
        precision: Of the engine.
        awq_block_size: Weights that share one 16-bit scale with int4_awq.

    Returns:
        Bytes.
    """
    table = prod(weights.shapes[EMBEDDING])
    outside = table + prod(weights.shapes.get(OUTPUT_LAYER, (0,)))
    scales = _HALF_BYTES / awq_block_size if precision is Precision.INT4_AWQ else 0.0
    inner = (weights.parameter_count - outside) * (_WEIGHT_BYTES[precision] + scales)
    least = round(inner) + outside * _HALF_BYTES
    return EngineSize(least, least + (table * _HALF_BYTES if geometry.is_tied else 0))


def kv_bytes_per_token(geometry: Geometry) -> int:
    """Bytes of the 16-bit KV cache that one token takes."""
    return geometry.layer_count * _KEYS_AND_VALUES * geometry.kv_head_count * geometry.head_size * _HALF_BYTES


def logits_bytes(geometry: Geometry) -> int:
    """Bytes of one row of float32 logits: what a decision sends over gRPC."""
    return geometry.vocab_size * _FLOAT_BYTES


def logits_cache_bytes(geometry: Geometry, limits: EngineLimits) -> int:
    """Bytes of GPU memory that ``--gather_generation_logits`` takes, asked for or not."""
    return _LOGITS_CACHE_ROWS * limits.max_batch_size * logits_bytes(geometry)


def megabytes(count: float) -> str:
    """Write bytes in 10^6 bytes."""
    return f"{count / 1e6:,.1f} MB"
