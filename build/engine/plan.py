"""A build on paper: the exact commands, files and sizes. Nothing is run."""

import shlex
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from engine.geometry import CheckedCheckpoint
from engine.model_config import MODEL
from engine.request import BuildRequest
from engine.sizes import engine_size, kv_bytes_per_token, logits_bytes, logits_cache_bytes, megabytes
from engine.steps import Place, Step, steps_of
from engine.toolchain import Folders, enter_line, serve_line

Document = dict[str, Any]  # Any: JSON


def plan_document(request: BuildRequest) -> Document:
    """Plan a build.

    Args:
        request: What to build.

    Returns:
        What JSON can hold; sizes are absent while a hub's checkpoint is not fetched.

    Raises:
        BadInputError: When the checkpoint cannot be used.
    """
    checked = request.inspect()
    folders = Folders((request.checkpoint,), request.workspace)
    return {
        "source": request.source,
        "revision": request.revision,
        "precision": request.precision.value,
        "tensorrt_llm": request.version,
        "image": request.toolkit.image,
        "workspace": str(request.workspace),
        "sizes": None if checked is None else _sizes(request, checked),
        "steps": [_step(step) for step in steps_of(request, checked)],
        "enter": enter_line(request.toolkit, request.settings.container, folders),
        "serve": serve_line(request.toolkit, request.settings.container, request.folder("assemble")),
    }


def plan_text(document: Document) -> str:
    """Write a plan for people.

    Args:
        document: Of `plan_document`.

    Returns:
        Lines without a newline at the end.
    """
    lines = [
        (
            f"from {document['source']} to {document['workspace']}: {document['precision']}, "
            f"TensorRT-LLM {document['tensorrt_llm']} in {document['image']}"
        ),
        "",
        *_size_lines(document["sizes"]),
    ]
    for number, step in enumerate(document["steps"], 1):
        lines += ["", f"{number}. {step['name']}, {step['place']}: {step['summary']}"]
        lines.append(f"   $ {step['command']}")
        if step["tool"]:
            lines.append(f"   > {step['tool']}")
        lines += [f"   {step['output']}/{name}" for name in step["writes"]] or [f"   {step['output']}"]
        if step["bytes"] is not None:
            lines.append(f"   about {megabytes(step['bytes'])}")
    lines += ["", "Enter the image, for the steps marked >:", f"   $ {document['enter']}"]
    lines += ["Serve the engine, before verify:", f"   $ {document['serve']}"]
    lines += ["", "The commands run in the root of the repository, with PYTHONPATH=build. Nothing was run."]
    return "\n".join(lines)


def _sizes(request: BuildRequest, checked: CheckedCheckpoint) -> Document:
    geometry = checked.geometry
    limits = request.settings.engine.capped(geometry.max_positions)
    size = engine_size(checked.weights, geometry, request.precision, request.settings.quantization.awq_block_size)
    kv_tokens = _kv_tokens(request.model_repository)
    return {
        "license": checked.files.license,
        "parameters": checked.weights.parameter_count,
        "weight_files": list(checked.weights.file_names),
        "weight_bytes": checked.weights.byte_count,
        "vocabulary": geometry.vocab_size,
        "engine_bytes_least": size.least,
        "engine_bytes_most": size.most,
        "kv_bytes_per_token": kv_bytes_per_token(geometry),
        "kv_tokens": kv_tokens,
        "kv_bytes": kv_tokens * kv_bytes_per_token(geometry),
        "logits_bytes": logits_bytes(geometry),
        "logits_cache_bytes": logits_cache_bytes(geometry, limits),
        "max_batch_size": limits.max_batch_size,
    }


def _size_lines(sizes: Document | None) -> list[str]:
    if sizes is None:
        return ["sizes: known when the checkpoint is fetched"]
    return [
        (
            f"checkpoint: licence {sizes['license']}, {sizes['parameters']:,} parameters in "
            f"{', '.join(sizes['weight_files'])}, {sizes['weight_bytes']:,} bytes, vocabulary {sizes['vocabulary']:,}"
        ),
        (
            f"engine: {megabytes(sizes['engine_bytes_least'])}, or {megabytes(sizes['engine_bytes_most'])} with an "
            "output layer of its own"
        ),
        (
            f"GPU memory: engine + KV cache {megabytes(sizes['kv_bytes'])} ({sizes['kv_tokens']:,} tokens of "
            f"{sizes['kv_bytes_per_token']:,} bytes) + logits cache {megabytes(sizes['logits_cache_bytes'])} "
            f"(8 rows of {sizes['logits_bytes']:,} bytes for each of {sizes['max_batch_size']} slots) + activations"
        ),
    ]


def _kv_tokens(model_repository: Path) -> int:
    text = (model_repository / MODEL / "config.pbtxt").read_text("utf-8")
    return int(text_format.Parse(text, ModelConfig()).parameters["max_tokens_in_paged_kv_cache"].string_value)


def _step(step: Step) -> Document:
    return {
        "name": step.name,
        "summary": step.summary,
        "place": step.place.value,
        "needs_image": step.place is Place.IMAGE,
        "command": shlex.join(step.command),
        "tool": shlex.join(step.tool) if step.tool else None,
        "output": str(step.output),
        "writes": list(step.writes),
        "bytes": step.byte_count,
    }
