"""A Hugging Face checkpoint directory: the parts of it that a bundle is made from. Only local files are read."""

import json
from dataclasses import dataclass
from pathlib import Path

from archrouter.bundles.families import FAMILIES, ModelFamily
from archrouter.bundles.manifest import BundleError, digest_of, digest_of_file
from archrouter.bundles.model_card import license_of, prompt_template_of


@dataclass(frozen=True, slots=True)
class CheckpointFiles:
    """What a checkpoint directory says.

    Attributes:
        directory: Where it is.
        name: What it is called: the directory's name.
        family: What its architecture's checkpoints have in common.
        license: From the model card's front matter; ``unknown`` when it states none.
        max_positions: Tokens the model was made for.
        tokenizer: Content of ``tokenizer.json``.
        chat_template: Jinja source.
        special_tokens: Named tokens the chat template may use.
        end_token: Ends the model's turn.
        pad_token: Fills.
        card: The model card; empty when there is none.
    """

    directory: Path
    name: str
    family: ModelFamily
    license: str
    max_positions: int
    tokenizer: bytes
    chat_template: str
    special_tokens: dict[str, str]
    end_token: str
    pad_token: str
    card: str

    def prompt_template(self) -> str:
        """Take the prompt the weights were trained with from the model card; raises ModelCardError without one."""
        return prompt_template_of(self.card)

    def weights_digest(self) -> str:
        """Return a digest over the digests of all ``*.safetensors`` files, in the order of their names. O(bytes)."""
        files = sorted(self.directory.glob("*.safetensors"))
        if not files:
            msg = f"{self.directory} holds no *.safetensors; is the download complete?"
            raise BundleError(msg)
        return digest_of("\n".join(f"{file.name} {digest_of_file(file)}" for file in files).encode())


def read_checkpoint(directory: Path) -> CheckpointFiles:
    """Read a checkpoint directory, as downloaded from a hub, or saved by transformers.

    Raises:
        BundleError: When a file is missing or malformed, or the architecture is not supported.
    """
    family, max_positions = _geometry(directory / "config.json")
    tokenizer_config = _json(directory / "tokenizer_config.json")
    special_tokens = _special_tokens(directory, tokenizer_config)
    card_file = directory / "README.md"
    card = read_utf8(card_file) if card_file.is_file() else ""
    return CheckpointFiles(
        directory=directory,
        name=directory.resolve().name,
        family=family,
        license=license_of(card),
        max_positions=max_positions,
        tokenizer=_bytes(directory / "tokenizer.json"),
        chat_template=_chat_template(directory, tokenizer_config),
        special_tokens=special_tokens,
        end_token=special_tokens["eos_token"],
        pad_token=special_tokens["pad_token"],
        card=card,
    )


def read_utf8(path: Path) -> str:
    """Read a text file; BundleError where its bytes are no text."""
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{path} is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02X}; save it as UTF-8"
        raise BundleError(msg) from error


def _geometry(path: Path) -> tuple[ModelFamily, int]:
    """Read which family the model is of, and how many tokens it was made for."""
    config = _json(path)
    architecture, max_positions = config.get("model_type"), config.get("max_position_embeddings")
    if not isinstance(architecture, str) or architecture not in FAMILIES:
        msg = f"{path} says model_type {architecture!r}; only {' and '.join(FAMILIES)} are supported"
        raise BundleError(msg)
    if not isinstance(max_positions, int) or max_positions < 1:
        msg = f"{path} says max_position_embeddings {max_positions!r}; it must be a count of tokens"
        raise BundleError(msg)
    return FAMILIES[architecture], max_positions


def _special_tokens(directory: Path, config: dict[str, object]) -> dict[str, str]:
    tokens = {key: token for key in ("bos_token", "eos_token", "pad_token") if (token := _token(config.get(key)))}
    for key in ("eos_token", "pad_token"):
        if key not in tokens:
            msg = f"{directory / 'tokenizer_config.json'} names no {key}"
            raise BundleError(msg)
    return tokens


def _chat_template(directory: Path, tokenizer_config: dict[str, object]) -> str:
    """Take the chat template from its own file, where newer checkpoints keep it, or from the tokenizer's config."""
    path = directory / "chat_template.jinja"
    if path.is_file():
        return read_utf8(path)
    template = tokenizer_config.get("chat_template")
    if not isinstance(template, str):
        msg = f"{directory} has no chat template, neither chat_template.jinja nor in tokenizer_config.json"
        raise BundleError(msg)
    return template


def _token(value: object) -> str:
    """Read a token that is written as text or as an object with its content."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else ""


def _json(path: Path) -> dict[str, object]:
    try:
        content = json.loads(_bytes(path))
    except ValueError as error:
        msg = f"{path} is not JSON: {error}"
        raise BundleError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} holds no JSON object"
        raise BundleError(msg)
    return content


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"{path} cannot be read ({error.strerror}); is this a checkpoint directory?"
        raise BundleError(msg) from error
