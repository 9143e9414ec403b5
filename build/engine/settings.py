"""The pins and limits of ``build/pipeline.toml``."""

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import BadInputError

DEFAULT_FILE = Path(__file__).parents[1] / "pipeline.toml"
DEFAULT_TOOLKIT = "1.2.1"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Model(_Strict):
    """The weights this pipeline is for."""

    hub_id: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")


class Probe(_Strict):
    """How the weights are run on the CPU to see the form of their answer."""

    precision: Literal["fp32", "int4"]


class Toolkit(_Strict):
    """A version of TensorRT-LLM and the image that holds it."""

    image: str = Field(min_length=1)
    image_gb: float | None = Field(None, gt=0, description="Size of the image, 10^9 bytes; unknown without.")
    min_driver: int = Field(ge=1, description="Major version of the NVIDIA driver.")
    convert_script: str = Field(min_length=1)
    quantize_script: str = Field(min_length=1)
    compiler: str = Field(min_length=1)


class Container(_Strict):
    """How containers are started."""

    shm_size: str = Field(pattern=r"^\d+[mg]$")
    bundle_directory: str = Field(pattern="^/")


class EngineLimits(_Strict):
    """Bounds the engine is built for, in prompts and tokens."""

    max_batch_size: int = Field(ge=1)
    max_num_tokens: int = Field(ge=1)
    max_seq_len: int = Field(ge=2)
    max_input_len: int = Field(ge=1)
    tokens_per_block: Literal[32] = Field(description="The service counts reused tokens by it.")
    max_prompt_tokens: int = Field(ge=64)

    def capped(self, max_positions: int) -> "EngineLimits":
        """Fit the limits to a checkpoint.

        Args:
            max_positions: Tokens the checkpoint was made for, >= 2.

        Returns:
            Limits that exceed neither it nor each other; one position stays free for the answer's token.
        """
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
    int4_awq_prompts: int = Field(ge=1)
    awq_block_size: Literal[64, 128]
    max_prompt_tokens: int = Field(ge=64)


class Settings(_Strict):
    """All of the file."""

    model: Model
    probe: Probe
    toolkits: dict[str, Toolkit]
    container: Container
    engine: EngineLimits
    quantization: Quantization

    def toolkit(self, version: str) -> Toolkit:
        """Look up a version of TensorRT-LLM.

        Args:
            version: E.g. ``1.2.1``.

        Returns:
            Its pins.

        Raises:
            BadInputError: When there is none, with those there are.
        """
        if version not in self.toolkits:
            msg = f"there is no toolkit {version!r}; the settings have {', '.join(self.toolkits)}"
            raise BadInputError(msg)
        return self.toolkits[version]


def read_settings(path: Path) -> Settings:
    """Read a settings file.

    Args:
        path: TOML, all keys of `Settings` and no other.

    Returns:
        The settings.

    Raises:
        BadInputError: When it cannot be read, naming each wrong key.
    """
    try:
        return Settings.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, tomllib.TOMLDecodeError) as error:
        msg = f"{path} cannot be read: {error}"
        raise BadInputError(msg) from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        msg = f"{path}: {problems}"
        raise BadInputError(msg) from error
