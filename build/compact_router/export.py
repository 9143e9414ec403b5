"""Export a trained network to ONNX, quantised to 8 bits: encoder.onnx, reader.onnx, tokenizer and words.

Of a network that was taught to serve another one's reader, the encoder and the tokenizer alone, into a folder beside
that one's. The same checkpoint and package versions give the same bytes.
"""

import argparse
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import fields
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
import torch
from compact_model.conversation import Tokens
from compact_model.digest import PREFIX
from compact_model.encoder import OTHER_LANGUAGES, TOKENIZER
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor, nn

from compact_router.batches import BatchMaker
from compact_router.e5 import BLOCK
from compact_router.fusing import MICROSOFT, fused
from compact_router.learner import load_router
from compact_router.manifest import MODEL_DIRECTORY, VERSION, JsonObject, digest_of, update_manifest
from compact_router.network import WIDTH, Encoder, Reader, Router, Routes, Said
from compact_router.plan import LIMITS
from compact_router.pretrained import (
    ENCODERS,
    WORDS_DIGEST,
    WORDS_FILE,
    WORDS_PACKAGE,
    embedding_blocks,
    read_words,
    some_texts,
    text_reader,
    tokenizer_json,
)
from compact_router.services import SERVICES, read_services
from compact_router.smoothing import smoothed
from compact_router.talk import ENGLISH

OPSET = 18
MAX_SEQUENCE_TOKENS = 512
"""Positions of the weights; the router's window is shorter."""

CONVERSATIONS_APART = 100
"""One of so many conversations shows what an encoder sees."""

MAX_BATCH = 1024
MAX_CANDIDATES = 100_000

TOOLS = ("onnx", "onnx-ir", "onnxruntime", "onnxscript", "torch", "transformers")
ENCODER, READER, WORDS = "encoder.onnx", "reader.onnx", "words.txt"

WORDS_PROVENANCE: JsonObject = {
    "package": f"{WORDS_PACKAGE}=={metadata.version(WORDS_PACKAGE)}",
    "licence": "MIT",
    "files": {WORDS_FILE: PREFIX + WORDS_DIGEST},
}
"""The manifest's part about the words."""

READER_INPUTS = (
    *("vector", "states", "state_mask"),
    *("candidates", "covers_domain", "candidate_mask"),
    *("examples", "example_mask", "not_examples", "not_example_mask"),
)
"""Names of the fields of `Said` and `Routes` in the served graph."""


class ServedEncoder(nn.Module):  # type: ignore[misc, unused-ignore]  # torch may be absent where types are checked
    """The encoder, for whole sequences of one length."""

    def __init__(self, encoder: Encoder) -> None:
        """Wrap the trained encoder."""
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: Tensor, token_type_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Encode.

        Args:
            input_ids: int64 [batch, sequence].
            token_type_ids: int64 [batch, sequence].

        Returns:
            Unit vectors [batch, 384] and states [batch, sequence, 384].
        """
        vector, states = self.encoder(input_ids, token_type_ids, torch.ones_like(input_ids))
        return vector, states


class ServedReader(nn.Module):  # type: ignore[misc, unused-ignore]  # see above
    """The reader, its inputs one by one."""

    def __init__(self, reader: Reader) -> None:
        """Wrap the trained reader."""
        super().__init__()
        self.reader = reader

    def forward(self, *tensors: Tensor) -> Tensor:
        """Score; the inputs are the fields of `Said` and `Routes`, the scores those of `Reader.forward`."""
        count = len(fields(Said))
        scores: Tensor = self.reader(Said(*tensors[:count]), Routes(*tensors[count:]))
        return scores


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m compact_router.export", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="checkpoint.pt of compact_router.train")
    parser.add_argument("--model-directory", type=Path, default=MODEL_DIRECTORY, help="default: the one in this tree")
    parser.add_argument("--precision", choices=("int8", "fp32"), default="int8", help="default: %(default)s")
    arguments = parser.parse_args()
    router, started_from = load_router(arguments.checkpoint)
    is_other = ENCODERS[started_from].is_mapped
    directory: Path = arguments.model_directory / VERSION / (OTHER_LANGUAGES if is_other else "")
    directory.mkdir(parents=True, exist_ok=True)
    write = export_encoder if is_other else export
    for path in write(router, started_from, directory, arguments.precision):
        print(f"wrote {path.name}: {path.stat().st_size} bytes, {PREFIX}{digest_of(path)}")
    made = provenance(started_from, arguments.precision)
    sections = {OTHER_LANGUAGES: made} if is_other else {"network": {**made, "words": WORDS_PROVENANCE}}
    update_manifest(arguments.model_directory, **sections)
    print("now calibrate: python -m compact_router.calibrate")


def export(router: Router, started_from: str, directory: Path, precision: str) -> tuple[Path, ...]:
    """Write the files of a trained network, with weights of 8 bits (``int8``) or as they are (``fp32``).

    ``started_from`` names its encoder.
    """
    words = directory / WORDS
    words.write_bytes(read_words())
    encoder, tokenizer = export_encoder(router, started_from, directory, precision)
    return encoder, _export(router, started_from, _write_reader, directory / READER, precision), tokenizer, words


def export_encoder(router: Router, started_from: str, directory: Path, precision: str) -> tuple[Path, ...]:
    """Write the encoder of a trained network and its tokenizer, as `export` does."""
    tokenizer = directory / TOKENIZER
    tokenizer.write_text(tokenizer_json(started_from), encoding="utf-8")
    return _export(router, started_from, _write_encoder, directory / ENCODER, precision), tokenizer


def _export(
    router: Router, started_from: str, write: Callable[[Router, str, Path], None], target: Path, precision: str
) -> Path:
    """Write one graph, exact or quantised."""
    with tempfile.TemporaryDirectory() as scratch:
        exact = Path(scratch) / "exact.onnx"
        write(router, started_from, exact)
        if precision == "int8":
            # Seven bits per weight: eight would overflow 16-bit sums on a CPU without VNNI, and then only there.
            quantize_dynamic(exact, target, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
            onnx.save_model(fused(onnx.load(target), router.encoder.transformer.config.num_attention_heads), target)
        else:
            shutil.copyfile(exact, target)
    return target


def _write_encoder(router: Router, started_from: str, target: Path) -> None:
    ids = torch.arange(1000, 1036).reshape(2, 18)
    types = torch.zeros_like(ids)
    types[:, 9:] = 1
    batch = torch.export.Dim("batch", max=MAX_BATCH)
    sequence = torch.export.Dim("sequence", max=MAX_SEQUENCE_TOKENS)
    inputs = {"input_ids": ids, "token_type_ids": types}
    axes = {name: {0: batch, 1: sequence} for name in inputs}
    encoder = smoothed(router.encoder, seen_by(started_from))
    _write(ServedEncoder(encoder), inputs, axes, ["vector", "states"], target)
    if (blocks := embedding_blocks(started_from)) is not None:
        graph = onnx.load(target)
        keep_embedding_in_blocks(graph, *blocks)
        onnx.save_model(graph, target)


def seen_by(started_from: str) -> list[tuple[Tokens, Tokens]]:
    """List what an encoder sees: a wording of each public route, and conversations with the services."""
    maker, is_english = BatchMaker(text_reader(started_from), LIMITS), ENCODERS[started_from].is_english
    examples = [each for service in read_services(SERVICES) for each in service.examples]
    known = [each.messages for each in examples if each.language == ENGLISH or not is_english]
    routes = [maker.example_tokens(text) for text in some_texts()]
    return [*routes, *(maker.conversation_tokens(messages) for messages in known[::CONVERSATIONS_APART])]


def _write_reader(router: Router, _started_from: str, target: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    counts = {"batch": 2, "sequence": 7, "candidates": 5, "examples": 3, "not_examples": 4}
    dimensions = {
        "vector": ("batch",),
        "states": ("batch", "sequence"),
        "candidates": ("batch", "candidates"),
        "examples": ("batch", "candidates", "examples"),
        "not_examples": ("batch", "candidates", "not_examples"),
    }
    inputs: dict[str, Tensor] = {}
    for name, of in dimensions.items():
        shape = [counts[each] for each in of]
        inputs[name] = torch.randn(*shape, WIDTH, generator=generator)
        if name != "vector":
            inputs[f"{name.removesuffix('s')}_mask"] = torch.ones(shape, dtype=torch.bool)
        if name == "candidates":
            inputs["covers_domain"] = torch.zeros(shape, dtype=torch.long)
    dimensions |= {f"{name.removesuffix('s')}_mask": of for name, of in dimensions.items()}
    dimensions["covers_domain"] = dimensions["candidates"]
    most = {"batch": MAX_BATCH, "sequence": MAX_SEQUENCE_TOKENS}
    sizes = {name: torch.export.Dim(name, max=most.get(name, MAX_CANDIDATES)) for name in counts}
    axes = {name: {place: sizes[each] for place, each in enumerate(dimensions[name])} for name in READER_INPUTS}
    ordered = {name: inputs[name] for name in READER_INPUTS}
    _write(ServedReader(router.reader), ordered, {"tensors": tuple(axes.values())}, ["scores"], target)


def _write(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    axes: Mapping[str, object],
    outputs: list[str],
    target: Path,
) -> None:
    """Write a float32 graph."""
    program = torch.onnx.export(
        module.eval(),
        tuple(inputs.values()),
        dynamo=True,
        opset_version=OPSET,
        input_names=list(inputs),
        output_names=outputs,
        dynamic_shapes=dict(axes),
        external_data=False,
        verbose=False,
    )
    if program is None:
        msg = "torch.onnx.export gave no program; use the pinned version of torch"
        raise RuntimeError(msg)
    graph = program.model_proto
    strip(graph)
    onnx.save_model(graph, target)


def keep_embedding_in_blocks(model: onnx.ModelProto, words: NDArray[np.uint8], scales: NDArray[np.float16]) -> None:
    """Replace the word embeddings by the four bits they were made from.

    Args:
        model: The encoder; its look-up of words is replaced.
        words: [pieces, 384] from 0 to 15, of which 8 stands for 0.
        scales: [pieces, 12], of blocks of 32.
    """
    graph = model.graph
    place, node = next(
        (place, node)
        for place, node in enumerate(graph.node)
        if node.op_type == "Gather" and node.input[0].endswith("word_embeddings.weight")
    )
    exact = next(each for each in graph.initializer if each.name == node.input[0])
    graph.initializer.remove(exact)
    graph.initializer.append(numpy_helper.from_array(words[:, 0::2] | words[:, 1::2] << 4, "words"))
    graph.initializer.append(numpy_helper.from_array(scales, "word_scales"))
    graph.node.remove(node)
    look_up = helper.make_node(
        "GatherBlockQuantized",
        ["words", node.input[1], "word_scales"],
        ["words_in_half_precision"],
        domain=MICROSOFT,
        bits=4,
        block_size=BLOCK,
        gather_axis=0,
        quantize_axis=1,
    )
    widen = helper.make_node("Cast", ["words_in_half_precision"], [node.output[0]], to=onnx.TensorProto.FLOAT)
    graph.node.insert(place, widen)
    graph.node.insert(place, look_up)
    model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))


def strip(model: onnx.ModelProto) -> None:
    """Remove what the exporter notes about its own run: stack traces would carry this machine's paths."""
    graph = model.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    for owner in (graph, model):
        owner.ClearField("doc_string")
        owner.ClearField("metadata_props")


def provenance(started_from: str, precision: str) -> JsonObject:
    """Say what a network was made from, and with what: a section of the manifest."""
    package = ENCODERS[started_from]
    return {
        "start": {
            "package": f"{package.name}=={package.version}",
            "upstream": package.upstream,
            "licence": package.licence,
            "languages": list(package.languages),
            "files": {name: PREFIX + digest for name, digest in package.digests.items()},
        },
        "precision": precision,
        "opset": OPSET,
        "tools": {name: metadata.version(name) for name in TOOLS},
    }


if __name__ == "__main__":
    main()
