"""Checks of files, programs and logs: the image, the driver, the tools' output."""

import re
from pathlib import Path

from engine.geometry import read_geometry
from engine.image import find_gpu
from engine.model_config import MODEL
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from first_gpu_run.checks import Check, Finding
from first_gpu_run.host import Host, NotCheckedError, given

TEMPLATE = Path("inflight_batcher_llm", MODEL, "config.pbtxt")
LEGACY_WARNING = "LEGACY WARNING"
MIN_DRIVER = 580
XGRAMMAR_QUERY = ("python3", "-c", "from importlib.metadata import version; print(version('xgrammar'))")
QWEN_1_5B = (28, 1536, 2, 128, 151_936, True)

# Numbers and types of the template that are filled in before it can be parsed.
_PLACEHOLDERS = {
    "triton_max_batch_size": "64",
    "decoupled_mode": "false",
    "logits_datatype": "TYPE_FP32",
    "encoder_input_features_data_type": "TYPE_FP16",
    "prompt_embedding_table_data_type": "TYPE_FP16",
    "max_queue_delay_microseconds": "0",
    "max_queue_size": "256",
}


def _template(host: Host) -> Finding:
    """Compare the image's template of the model config with ours, tensor by tensor and key by key."""
    path = given(host.image_root, "--image-root, the folder /app/all_models of the image") / TEMPLATE
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        msg = f"a readable {path} ({error.strerror})"
        raise NotCheckedError(msg) from error
    for name, value in _PLACEHOLDERS.items():
        text = text.replace(f"${{{name}}}", value)
    theirs = text_format.Parse(text, ModelConfig())
    ours = text_format.Parse((host.model_repository / MODEL / "config.pbtxt").read_text("utf-8"), ModelConfig())
    differences = [
        *_differing("input", tensors_of(theirs.input), tensors_of(ours.input)),
        *_differing("output", tensors_of(theirs.output), tensors_of(ours.output)),
        *(f"parameter {key} is only in the image's" for key in sorted(set(theirs.parameters) - set(ours.parameters))),
    ]
    if differences:
        return Finding(is_as_expected=False, saw="; ".join(differences))
    return Finding(
        is_as_expected=True,
        saw=f"{len(ours.input)} inputs, {len(ours.output)} outputs and {len(theirs.parameters)} parameters agree",
    )


def _differing(kind: str, theirs: dict[str, str], ours: dict[str, str]) -> list[str]:
    names = sorted(theirs.keys() | ours.keys())
    return [
        f"{kind} {name} is {theirs.get(name, 'absent')} in the image, {ours.get(name, 'absent')} here"
        for name in names
        if theirs.get(name) != ours.get(name)
    ]


def tensors_of(declared: object) -> dict[str, str]:
    """Describe the tensors of a model config.

    Args:
        declared: Its ``input`` or ``output``.

    Returns:
        By name, all there is to say of each, as text.
    """
    return {t.name: text_format.MessageToString(t, as_one_line=True) for t in declared}  # type: ignore[attr-defined]  # protobuf


def _legacy_warning(host: Host) -> Finding:
    """Search the logs of the tools."""
    logs = given(host.logs, "--logs, the folder logs of a build's workspace")
    texts = {name: (logs / f"{name}.log") for name in ("convert", "quantize", "compile")}
    read = {name: path.read_text("utf-8", "replace") for name, path in texts.items() if path.is_file()}
    if "compile" not in read:
        msg = f"{texts['compile']}, the log of a compilation"
        raise NotCheckedError(msg)
    lines = [f"{name}: {line.strip()}" for name, text in read.items() for line in text.splitlines()]
    found = [line for line in lines if LEGACY_WARNING in line]
    if found:
        return Finding(is_as_expected=False, saw=found[0])
    return Finding(is_as_expected=True, saw=f"no {LEGACY_WARNING} in the logs of {', '.join(read)}")


def _driver(host: Host) -> Finding:
    gpu = find_gpu(host.runner)
    if gpu is None:
        msg = "an NVIDIA GPU (nvidia-smi does not answer)"
        raise NotCheckedError(msg)
    is_ready = given(host.wire, "--endpoint").is_ready()
    return Finding(
        is_as_expected=is_ready == (gpu.driver_major >= MIN_DRIVER),
        saw=f"{gpu.name}, driver {gpu.driver}: the model is {'ready' if is_ready else 'not ready'}",
    )


def _xgrammar(host: Host) -> Finding:
    version = (host.runner.capture(XGRAMMAR_QUERY) or "").strip()
    if not re.fullmatch(r"\d+(\.\w+)+", version):
        msg = "to run inside the image, whose python3 has xgrammar"
        raise NotCheckedError(msg)
    return Finding(is_as_expected=version.startswith("0.1."), saw=f"xgrammar {version}")


def _geometry(host: Host) -> Finding:
    geometry = read_geometry(given(host.checkpoint, "--checkpoint") / "config.json")
    found = (
        geometry.layer_count,
        geometry.hidden_size,
        geometry.kv_head_count,
        geometry.head_size,
        geometry.vocab_size,
        geometry.is_tied,
    )
    saw = (
        f"{geometry.layer_count} layers, width {geometry.hidden_size}, {geometry.kv_head_count} KV heads of "
        f"{geometry.head_size}, vocabulary {geometry.vocab_size}, {'tied' if geometry.is_tied else 'untied'}"
    )
    return Finding(is_as_expected=found == QWEN_1_5B, saw=saw)


IMAGE_CHECKS = (
    Check("template", "the image's template has the tensors and parameters of the checked-in config.pbtxt", _template),
    Check("legacy-warning", f"the tools of 1.2.1 print no {LEGACY_WARNING}; it came for 1.3", _legacy_warning),
    Check("driver", f"the CUDA 13.1 image runs with driver {MIN_DRIVER} or newer, and with no older one", _driver),
    Check("xgrammar", "the image has xgrammar 0.1.x; a validator outside it takes the same series", _xgrammar),
    Check("geometry", "the weights have Qwen2.5-1.5B's shape: 28 layers, tied, vocabulary 151,936", _geometry),
)
