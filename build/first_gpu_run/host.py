"""What the checks may look at; each part is there or not."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from engine.runner import Runner

from archrouter.bundles.loader import PromptBundle
from archrouter.bundles.probe import SkeletonProbe, probe_requests
from first_gpu_run.wire import Call, Wire

_Part = TypeVar("_Part")


class NotCheckedError(Exception):
    """A check cannot run; the text says what it needs."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host as the command line describes it.

    Attributes:
        runner: Starts programs.
        model_repository: Checked-in Triton models.
        model: Name of the served model.
        endpoint: HOST:PORT of the Triton that serves it.
        wire: The same, to call; None without an endpoint.
        without_logits: The same weights in an engine built without ``--gather_generation_logits``.
        single_profile: The same weights in an engine built without ``--multiple_profiles``.
        bundle: The bundle it belongs to.
        checkpoint: Hugging Face directory of its weights.
        image_root: Folder ``/app/all_models`` of the image.
        logs: Folder with the logs of the build.
        metrics: Reads Triton's metrics.
        probe: Asks the served model how it writes its answers.
        overload_calls: Calls for the overload test; 0 leaves it out.
        is_guided: Whether the model was loaded with guided decoding.
    """

    runner: Runner
    model_repository: Path
    model: str
    endpoint: str | None = None
    wire: Wire | None = None
    without_logits: Wire | None = None
    single_profile: Wire | None = None
    bundle: PromptBundle | None = None
    checkpoint: Path | None = None
    image_root: Path | None = None
    logs: Path | None = None
    metrics: Callable[[], str] | None = None
    probe: Callable[[], SkeletonProbe] | None = None
    overload_calls: int = 0
    is_guided: bool = False

    def served(self) -> tuple[Wire, PromptBundle]:
        """Return the served model and its bundle.

        Raises:
            NotCheckedError: When one is not given.
        """
        if self.wire is None or self.bundle is None:
            msg = "--endpoint and --bundle"
            raise NotCheckedError(msg)
        return self.wire, self.bundle

    def prompts(self) -> list[tuple[int, ...]]:
        """Return prompts of real form, up to where the answers of their candidates part.

        Raises:
            NotCheckedError: When no bundle is given.
        """
        _, bundle = self.served()
        prompts = []
        for policy_set, conversation in probe_requests():
            compiled = bundle.compiler.compile(policy_set)
            prompts.append(compiled.assemble(conversation).ids + compiled.trie.forced)
        return prompts

    def calls(self, count: int, *, new_token_count: int = 1) -> list[Call]:
        """Return calls over those prompts, repeated as often as needed.

        Args:
            count: How many.
            new_token_count: Tokens to generate, with a row of logits for each.
        """
        prompts = self.prompts()
        return [Call(prompts[index % len(prompts)], new_token_count) for index in range(count)]


def given(part: _Part | None, flag: str) -> _Part:
    """Return a part of the host.

    Args:
        part: The part.
        flag: What gives it.

    Returns:
        The part.

    Raises:
        NotCheckedError: When it is not given.
    """
    if part is None:
        raise NotCheckedError(flag)
    return part
