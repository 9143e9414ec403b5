"""reference_lm under other names, each with a queue of its own size."""

from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

MODEL = Path(__file__).parents[2] / "model_repository" / "reference_lm"


def write_variant(repository: Path, name: str, max_queue_size: int) -> None:
    """Put the model under another name into a repository, with a queue of another size; 0 is one without bound."""
    (repository / name).mkdir()
    (repository / name / "1").symlink_to(MODEL / "1")
    config = text_format.Parse((MODEL / "config.pbtxt").read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    config.name = name
    config.dynamic_batching.default_queue_policy.max_queue_size = max_queue_size
    (repository / name / "config.pbtxt").write_text(text_format.MessageToString(config), encoding="utf-8")
