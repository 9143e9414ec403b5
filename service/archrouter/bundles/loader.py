"""Reads a prompt bundle: the engine tier's tokenizer, prompt, answer skeleton, limits and calibration."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from archrouter.bundles.calibration_file import read_calibration
from archrouter.bundles.chat_template import chat_frame_of
from archrouter.bundles.engine_config import check_engine
from archrouter.bundles.manifest import (
    CHAT_TEMPLATE_FILE,
    MANIFEST_FILE,
    MODEL_FOLDER,
    PROMPT_FILES,
    PROMPT_TEMPLATE_FILE,
    TOKENIZER_FILE,
    BundleError,
    Manifest,
    check_files,
    read_manifest,
)
from archrouter.bundles.tokenizer import HfTokenizer
from archrouter.domain.answer import AnswerSkeleton, Quoting
from archrouter.domain.dialect import Dialect
from archrouter.domain.posterior import Calibration
from archrouter.domain.prompt import PromptCompiler
from archrouter.domain.scoring import BackendProfile, Tier
from archrouter.domain.template import PromptFormat, PromptTemplate
from archrouter.inference.bundle import Bundle
from archrouter.inference.tensors import PARAMETER_MODEL_DIRECTORY, PARAMETER_MODEL_VERSION


@dataclass(frozen=True, slots=True)
class PromptBundle(Bundle):
    """A bundle whose files are whole and fit together.

    Attributes:
        directory: Where it is.
        manifest: What it says of itself.
        tokenizer: The checkpoint's tokenizer.
        prompt_format: Prompt, dialect and answer skeleton.
    """

    directory: Path
    manifest: Manifest
    tokenizer: HfTokenizer
    prompt_format: PromptFormat

    @property
    def model_directory(self) -> Path:
        """Folder of the model that the reference runtime loads."""
        return self.directory / MODEL_FOLDER

    @property
    def model_parameters(self) -> dict[str, str]:
        """What the reference runtime's config.pbtxt must say of it."""
        return {
            PARAMETER_MODEL_DIRECTORY: str(self.model_directory.resolve()),
            PARAMETER_MODEL_VERSION: self.profile.model_version,
        }


def load_bundle(directory: Path, *, with_calibration: bool = True) -> PromptBundle:
    """Read a bundle and check that its parts fit together.

    Args:
        directory: The bundle; the digests of the prompt's files are checked, those of the weights are not.
        with_calibration: False leaves it out, as for measuring it again; also one that would be refused.

    Raises:
        BundleError: When a file is missing, changed or malformed, or the parts do not fit together; names the file.
    """
    manifest, model_version = read_manifest(directory)
    check_files(directory, manifest, PROMPT_FILES)
    with _blaming(f"{directory / TOKENIZER_FILE} cannot be used"):
        tokenizer = HfTokenizer.from_file(directory / TOKENIZER_FILE)
    prompt_format, limit = _prompt_format(directory, manifest), manifest.limits.max_prompt_token_count
    with _blaming(f"{directory / MANIFEST_FILE} and {TOKENIZER_FILE} do not fit together"):
        if manifest.runtime == "tensorrt_llm":
            check_engine(directory, manifest, tokenizer_vocab_size=tokenizer.vocab_size)
        measured = read_calibration(directory, model_version) if with_calibration else (Calibration(), None)
        return PromptBundle(
            directory=directory,
            manifest=manifest,
            tokenizer=tokenizer,
            prompt_format=prompt_format,
            compiler=PromptCompiler(
                prompt_format,
                tokenizer,
                max_prompt_token_count=limit,
                max_message_count=manifest.limits.max_message_count,
            ),
            profile=BackendProfile(
                tier=Tier.ENGINE,
                model_version=model_version,
                tokenizer_digest=tokenizer.digest,
                prompt_template_version=prompt_format.version,
                max_prompt_token_count=limit,
                calibration=measured[0],
                reference=measured[1],
            ),
            engine=manifest.engine,
            end_id=tokenizer.control_id(manifest.end_token),
            pad_id=tokenizer.control_id(manifest.pad_token),
        )


@contextmanager
def _blaming(what: str) -> Iterator[None]:
    """Say which file it is that an error is about."""
    try:
        yield
    except BundleError:
        raise
    except ValueError as error:
        msg = f"{what}: {error}"
        raise BundleError(msg) from error


def _prompt_format(directory: Path, manifest: Manifest) -> PromptFormat:
    skeleton = manifest.skeleton
    with _blaming(f"{directory / CHAT_TEMPLATE_FILE} cannot be used"):
        head, tail = chat_frame_of((directory / CHAT_TEMPLATE_FILE).read_text("utf-8"), manifest.special_tokens)
    with _blaming(f"{directory / PROMPT_TEMPLATE_FILE} cannot be used"):
        template = PromptTemplate.parse((directory / PROMPT_TEMPLATE_FILE).read_text("utf-8"))
    return PromptFormat(
        template=template,
        dialect=Dialect(manifest.dialect),
        chat_head=head,
        chat_tail=tail,
        end_token=manifest.end_token,
        skeleton=AnswerSkeleton(skeleton.prefix, skeleton.suffix, Quoting(skeleton.quoting), is_list=skeleton.is_list),
    )
