"""Where the engine is served: at an endpoint, or by a Triton of the program's own on this machine's CPU."""

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from archrouter.bundles.builder import REFERENCE_MODEL
from archrouter.bundles.loader import PromptBundle
from archrouter.config import EmbeddedSettings
from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton
from archrouter.inference.installation import EmbeddedTritonError
from archrouter.inference.tensors import PARAMETER_MODEL_DIRECTORY, PARAMETER_MODEL_VERSION
from engine.verify.results import CannotRunError

ENGINE_MODEL = "tensorrt_llm"
_START_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where to call.

    Attributes:
        endpoint: HOST:PORT of a Triton's gRPC.
        model: Name of the engine there.
    """

    endpoint: str
    model: str


def add_place_options(parser: argparse.ArgumentParser) -> None:
    """Let a command line name the engine.

    Args:
        parser: Gets ``--endpoint`` or ``--embedded``, and ``--model``.
    """
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--endpoint", metavar="HOST:PORT", help="gRPC of the Triton that serves it")
    place.add_argument(
        "--embedded", action="store_true", help=f"serve the bundle by {REFERENCE_MODEL} on this CPU, for this run only"
    )
    parser.add_argument(
        "--model", help=f"its name there (default: {ENGINE_MODEL}, with --embedded always {REFERENCE_MODEL})"
    )


@asynccontextmanager
async def place_of(options: argparse.Namespace, bundle: PromptBundle) -> AsyncIterator[Place]:
    """Find the engine that a command line names, or start it.

    Args:
        options: With what `add_place_options` added.
        bundle: What an engine of our own serves.

    Yields:
        Where it is served.

    Raises:
        CannotRunError: When a Triton of our own cannot be started.
    """
    if not options.embedded:
        yield Place(options.endpoint, options.model or ENGINE_MODEL)
        return
    parameters = {
        PARAMETER_MODEL_DIRECTORY: str(bundle.model_directory.resolve()),
        PARAMETER_MODEL_VERSION: bundle.profile.model_version,
    }
    repository = Path(EmbeddedSettings().model_repository)
    triton = EmbeddedTriton(repository, (EmbeddedModel(REFERENCE_MODEL, parameters),), _START_TIMEOUT_S)
    try:
        await triton.start()
    except EmbeddedTritonError as error:
        raise CannotRunError(str(error)) from error
    try:
        yield Place(triton.endpoint, REFERENCE_MODEL)
    finally:
        await triton.stop()
        triton.close()
