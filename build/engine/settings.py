"""The pins and limits of ``build/pipeline.toml``, and the precisions a TensorRT engine can have.

Rules of the precisions: TensorRT-LLM 1.x, ``examples/models/core/qwen/README.md`` and ``tensorrt_llm/builder.py``.
"""

import tomllib
from enum import Enum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.program import BadInputError

DEFAULT_FILE = Path(__file__).parents[1] / "pipeline.toml"
DEFAULT_TOOLKIT = "1.2.1"

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


def check_gpu(precision: Precision, compute_capability: str) -> None:
    """Refuse a precision that a GPU cannot run."""
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


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Probe(_Strict):
    """How the weights are run on the CPU to see the form of their answer."""

    precision: Literal["fp32", "int4"]


class Toolkit(_Strict):
    """A version of TensorRT-LLM and the image that holds it."""

    image: str = Field(min_length=1, description="Registry, name and tag.")
    digest: str = Field(pattern=r"^(sha256:[0-9a-f]{64})?$", description="Of the image; empty until one was pulled.")
    image_gb: float | None = Field(None, gt=0, description="Size of the image, 10^9 bytes; unknown without.")
    min_driver: int = Field(ge=1, description="Major version of the NVIDIA driver.")
    convert_script: str = Field(min_length=1)
    quantize_script: str = Field(min_length=1)
    compiler: str = Field(min_length=1)

    @property
    def reference(self) -> str:
        """What to pull: the digest, where it is known, rules out that the tag has moved."""
        return f"{self.image}@{self.digest}" if self.digest else self.image


class Container(_Strict):
    """How containers are started."""

    shm_size: str = Field(pattern=r"^\d+[mg]$")
    bundle_directory: str = Field(pattern="^/")


class EngineLimits(_Strict):
    """Bounds the TensorRT engine is built for, in prompts and tokens."""

    max_batch_size: int = Field(ge=1)
    max_num_tokens: int = Field(ge=1)
    max_seq_len: int = Field(ge=2)
    max_input_len: int = Field(ge=1)
    tokens_per_block: Literal[32] = Field(description="The service counts reused tokens by it.")
    max_prompt_tokens: int = Field(ge=64)

    def capped(self, max_positions: int) -> "EngineLimits":
        """Fit the limits to the tokens a checkpoint was made for; one stays free for the answer's token."""
        max_seq_len = min(self.max_seq_len, max_positions)
        most = max_seq_len - 1
        return self.model_copy(
            update={
                "max_seq_len": max_seq_len,
                "max_input_len": min(self.max_input_len, most),
                "max_prompt_tokens": min(self.max_prompt_tokens, most),
            }
        )


class Quantization(_Strict):
    """Calibration of quantised weights."""

    fp8_prompts: int = Field(ge=1)
    int4_awq_prompts: int = Field(ge=1, le=32, description="The script takes no more than 32.")
    awq_block_size: Literal[64, 128]
    max_prompt_tokens: int = Field(ge=64)
    max_padding: float = Field(gt=0, lt=1, description="Largest share of padding in a calibration prompt.")


class Settings(_Strict):
    """All of the file."""

    probe: Probe
    toolkits: dict[str, Toolkit]
    container: Container
    engine: EngineLimits
    quantization: Quantization

    def toolkit(self, version: str) -> Toolkit:
        """Look up the pins of a version of TensorRT-LLM."""
        if version not in self.toolkits:
            msg = f"there is no toolkit {version!r}; the settings have {', '.join(self.toolkits)}"
            raise BadInputError(msg)
        return self.toolkits[version]


def read_settings(path: Path) -> Settings:
    """Read a settings file."""
    try:
        return Settings.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, tomllib.TOMLDecodeError) as error:
        msg = f"{path} cannot be read: {error}"
        raise BadInputError(msg) from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        msg = f"{path}: {problems}"
        raise BadInputError(msg) from error
