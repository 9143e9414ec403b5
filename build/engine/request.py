"""What to build."""

from dataclasses import dataclass
from pathlib import Path

from engine.fetch import checkpoint_folder, is_hub_id
from engine.geometry import CheckedCheckpoint, check_checkpoint
from engine.model_config import MODEL
from engine.precision import Precision
from engine.settings import Settings, Toolkit

DEFAULT_ENDPOINT = "127.0.0.1:8001"


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build.

    Attributes:
        source: Folder of a checkpoint, or a hub id.
        revision: Full commit; only with a hub id.
        precision: Of the engine.
        version: Of TensorRT-LLM.
        settings_file: Pins and limits.
        settings: The same, read.
        workspace: Gets a folder and a state file for each step.
        model_repository: Checked-in Triton models.
        converted: Conversion for the CPU that exists already; None converts.
        prompt_template: File of the prompt; None takes it from the model card.
        dialect: JSON the weights were trained to read.
        prompt_records: Labelled conversations whose prompts calibrate the quantisation.
        records: Labelled conversations whose answers calibrate the confidence; None leaves that out.
        endpoint: HOST:PORT of the Triton that serves the engine.
        model: Its name there.
    """

    source: str
    revision: str | None
    precision: Precision
    version: str
    settings_file: Path
    settings: Settings
    workspace: Path
    model_repository: Path
    converted: Path | None = None
    prompt_template: Path | None = None
    dialect: str = "card"
    prompt_records: Path | None = None
    records: Path | None = None
    endpoint: str = DEFAULT_ENDPOINT
    model: str = MODEL

    @property
    def toolkit(self) -> Toolkit:
        """Pins of the version."""
        return self.settings.toolkit(self.version)

    def folder(self, step: str) -> Path:
        """Where a step's output goes."""
        return self.workspace / step

    @property
    def checkpoint(self) -> Path:
        """Where the checkpoint lies once it is fetched."""
        return checkpoint_folder(self.source, self.folder("fetch"))

    def inspect(self) -> CheckedCheckpoint | None:
        """Read the checkpoint's headers; None while it is not fetched."""
        return None if is_hub_id(self.source) and not self.checkpoint.is_dir() else check_checkpoint(self.checkpoint)


def default_workspace(source: str, precision: Precision) -> Path:
    """Name the workspace of a build.

    Args:
        source: Folder or hub id.
        precision: Of the engine.

    Returns:
        ``out/engine/<name>-<precision>``.
    """
    return Path("out", "engine", f"{Path(source).name or Path.cwd().name}-{precision.value}")
