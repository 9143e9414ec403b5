"""The manifest of a prompt bundle: what it holds, for which weights, and the digest of every file."""

import hashlib
import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MANIFEST_FILE = "manifest.json"
TOKENIZER_FILE = "tokenizer.json"
CHAT_TEMPLATE_FILE = "chat_template.jinja"
PROMPT_TEMPLATE_FILE = "prompt_template.txt"
CALIBRATION_FILE = "calibration.json"
MODEL_FOLDER = "model"
ENGINE_FOLDER = "engine"
PROMPT_FILES = (TOKENIZER_FILE, CHAT_TEMPLATE_FILE, PROMPT_TEMPLATE_FILE)
"""What the service reads; all else in a bundle belongs to the inference server."""


class BundleError(ValueError):
    """A bundle is incomplete, damaged, or does not fit together."""


class Strict(BaseModel):
    """A part of a file of which every key is known."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Checkpoint(Strict):
    """Where the weights come from."""

    name: str = Field(min_length=1)
    license: str = Field(min_length=1)
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$", description="Of the weights' files.")


class Skeleton(Strict):
    """The form of the answer, and what stands behind it."""

    prefix: str
    suffix: str
    quoting: Literal["json_ascii", "json_utf8", "python"]
    is_list: bool = Field(False, description="A list of route ids, its bracket in prefix and suffix.")  # noqa: FBT003
    probe_count: int = Field(ge=0, description="Greedy generations it was read from; 0 = taken as given.")
    agreement: float = Field(ge=0, le=1, description="Share of them that had this form.")


class Limits(Strict):
    """What the engine accepts, and what its weights were trained to read."""

    max_prompt_token_count: int = Field(ge=1)
    max_message_count: int | None = Field(None, ge=2, description="The newest messages are read; None reads all.")


class Engine(Strict):
    """What a TensorRT-LLM engine was built with, and the bounds it was built for."""

    tensorrt_llm_version: str = Field(min_length=1)
    container_image: str = Field(min_length=1, description="Builds and serves: an engine loads in no other.")
    compute_capability: str = Field(pattern=r"^\d+\.\d$", description="Of the GPU it was built on, e.g. 9.0.")
    precision: Literal["bf16", "fp8", "int4_awq", "int8_wo"]
    max_batch_size: int = Field(ge=1)
    max_num_tokens: int = Field(ge=1, description="Tokens of all requests of one step.")
    max_seq_len: int = Field(ge=2, description="Prompt and answer, in tokens.")
    vocab_size: int = Field(ge=1, description="Rows of logits, padding included.")


class Manifest(Strict):
    """Everything about a bundle but its calibration, which is measured on it afterwards."""

    format: Literal[1]
    checkpoint: Checkpoint
    runtime: Literal["cpu", "tensorrt_llm"]
    dialect: Literal["card", "gateway", "plano"]
    end_token: str = Field(min_length=1)
    pad_token: str = Field(min_length=1)
    special_tokens: dict[str, str] = Field(default_factory=dict, description="Names the chat template may use.")
    skeleton: Skeleton
    limits: Limits
    engine: Engine | None = Field(None, description="Only with runtime tensorrt_llm.")
    files: dict[str, str] = Field(description="Digest of each file, by path relative to the bundle.")

    def serialized(self) -> bytes:
        """Return the one form in which a manifest is written."""
        content = self.model_dump(exclude_none=True)
        return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def read_manifest(directory: Path) -> tuple[Manifest, str]:
    """Read the manifest of a bundle.

    Args:
        directory: The bundle.

    Returns:
        The manifest, and its digest, which is the bundle's `model_version`.

    Raises:
        BundleError: When it is missing or malformed, naming each field.
    """
    path = directory / MANIFEST_FILE
    try:
        content = path.read_bytes()
        return Manifest.model_validate_json(content), digest_of(content)
    except OSError as error:
        msg = (
            f"{directory} is no bundle: {MANIFEST_FILE} cannot be read ({error.strerror}); "
            "make one with 'archrouter bundle build'"
        )
        raise BundleError(msg) from error
    except ValidationError as error:
        msg = f"{path} is malformed: {problems_of(error)}"
        raise BundleError(msg) from error


def problems_of(error: ValidationError) -> str:
    """Name each field of a file that is wrong, and why."""
    return "; ".join(f"{'.'.join(map(str, item['loc'])) or 'file'}: {item['msg']}" for item in error.errors())


def check_files(directory: Path, manifest: Manifest, names: tuple[str, ...] | None = None) -> None:
    """Compare the named files, or all of them, with their digests; BundleError for the first that differs. O(bytes)."""
    for name in names if names is not None else tuple(manifest.files):
        if name not in manifest.files:
            msg = f"{directory / MANIFEST_FILE} does not list {name} in files"
            raise BundleError(msg)
        path = directory / name
        if not path.is_file():
            msg = f"{path} is missing; {MANIFEST_FILE} lists it in files"
            raise BundleError(msg)
        found = digest_of_file(path)
        if found != manifest.files[name]:
            msg = f"{path} has digest {found}, {MANIFEST_FILE} says {manifest.files[name]}; it was changed or cut short"
            raise BundleError(msg)


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of some bytes, as ``sha256:<64 hex digits>``."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file, as ``sha256:<64 hex digits>``; a file of any size."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
