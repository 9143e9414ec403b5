"""Precisions an engine can have, and the GPUs that can run them.

Rules: TensorRT-LLM 1.x, ``examples/models/core/qwen/README.md`` (support matrix) and ``tensorrt_llm/builder.py``.
"""

from enum import Enum

from engine.errors import BadInputError

_OLDEST_SM = 80
_OLDEST_FP8_SM = 89
_SM_WITHOUT_INTEGER_WEIGHTS = range(100, 120)


class Precision(Enum):
    """Numbers the weights are kept in."""

    BF16 = "bf16"
    FP8 = "fp8"
    INT4_AWQ = "int4_awq"
    INT8_WO = "int8_wo"

    @property
    def is_quantized(self) -> bool:
        """Whether the weights go through the quantisation script."""
        return self is not Precision.BF16

    @property
    def needs_prompts(self) -> bool:
        """Whether quantising looks at prompts."""
        return self in (Precision.FP8, Precision.INT4_AWQ)


def check_kv_cache(dtype: str) -> None:
    """Refuse a KV cache below 16 bits.

    Args:
        dtype: ``16bit``, ``fp8`` or ``int8``.

    Raises:
        BadInputError: For the last two, with the reason.
    """
    reasons = {
        "int8": "it turns paged context FMHA off, and with it KV reuse and chunked context",
        "fp8": "wrong text with KV reuse is an open report on a Qwen2.5 model (NVIDIA/TensorRT-LLM issue 2699)",
    }
    if dtype in reasons:
        msg = f"--kv-cache {dtype} is refused: {reasons[dtype]}; leave it at 16bit"
        raise BadInputError(msg)


def check_gpu(precision: Precision, compute_capability: str) -> None:
    """Refuse a precision that a GPU cannot run.

    Args:
        precision: Of the weights.
        compute_capability: As ``nvidia-smi`` prints it, e.g. ``9.0``.

    Raises:
        BadInputError: When it cannot, with what can.
    """
    major, _, minor = compute_capability.partition(".")
    if not (major.isdigit() and minor.isdigit() and len(minor) == 1):
        msg = f"compute capability {compute_capability!r} is not of the form 9.0"
        raise BadInputError(msg)
    sm = 10 * int(major) + int(minor)
    if sm < _OLDEST_SM:
        msg = f"SM {sm} is older than Ampere; TensorRT-LLM needs SM {_OLDEST_SM} or newer"
        raise BadInputError(msg)
    if precision is Precision.FP8 and sm < _OLDEST_FP8_SM:
        msg = f"precision fp8 needs SM {_OLDEST_FP8_SM} (Ada) or newer, this GPU is SM {sm}; take bf16 or int4_awq"
        raise BadInputError(msg)
    if precision in (Precision.INT4_AWQ, Precision.INT8_WO) and sm in _SM_WITHOUT_INTEGER_WEIGHTS:
        msg = (
            f"precision {precision.value} fails in the builder on SM 100 to 119, this GPU is SM {sm}; take bf16 or fp8"
        )
        raise BadInputError(msg)
