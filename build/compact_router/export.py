"""Export a trained network to ONNX, quantised to 8 bits: encoder.onnx, reader.onnx, tokenizer and words.

Of a network that was taught to serve another one's reader, the encoder and the tokenizer alone, into a folder beside
that one's. The same checkpoint and package versions give the same bytes.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
import torch
from compact_model.digest import PREFIX
from compact_model.encoder import OTHER_LANGUAGES, TOKENIZER, inputs_of
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor, nn

from compact_router.e5 import BLOCK
from compact_router.fusing import MICROSOFT, fused
from compact_router.learner import load_router
from compact_router.manifest import MODEL_DIRECTORY, VERSION, JsonObject, digest_of, update_manifest
from compact_router.network import WIDTH, Encoder, Reader, Router, Routes, Said
from compact_router.pretrained import (
    ENCODERS,
    WORDS_DIGEST,
    WORDS_FILE,
    WORDS_PACKAGE,
    embedding_blocks,
    read_words,
    tokenizer_json,
)
from compact_router.ranges import GraphInputs, with_fixed_ranges
from compact_router.shown import shown_to_encoder, shown_to_reader
from compact_router.smoothing import smoothed

OPSET = 18
MAX_TOKENS = 4096
"""Of a run. A text has as many as there are positions at most, 512; the router's window is shorter."""

MAX_TEXTS = 1024
MAX_CANDIDATES = 100_000

TOOLS = ("onnx", "onnx-ir", "onnxruntime", "onnxscript", "torch", "transformers")
ENCODER, READER, WORDS = "encoder.onnx", "reader.onnx", "words.txt"

WORDS_PROVENANCE: JsonObject = {
    "package": f"{WORDS_PACKAGE}=={metadata.version(WORDS_PACKAGE)}",
    "licence": "MIT",
    "files": {WORDS_FILE: PREFIX + WORDS_DIGEST},
}
"""The manifest's part about the words."""


class ServedEncoder(nn.Module):  # type: ignore[misc, unused-ignore]  # torch may be absent where types are checked
    """The encoder, for texts one after the other."""

    def __init__(self, encoder: Encoder) -> None:
        """Wrap the trained encoder."""
        super().__init__()
        self.encoder = encoder

    def forward(
        self, input_ids: Tensor, token_type_ids: Tensor, position_ids: Tensor, text_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Encode, see `Encoder.together`."""
        vectors, states = self.encoder.together(input_ids, token_type_ids, position_ids, text_mask)
        return vectors, states


class ServedReader(nn.Module):  # type: ignore[misc, unused-ignore]  # see above
    """The reader, for texts that were encoded together and have the same candidates."""

    def __init__(self, reader: Reader) -> None:
        """Wrap the trained reader."""
        super().__init__()
        self.reader = reader

    def forward(self, vectors: Tensor, states: Tensor, text_mask: Tensor, *routes: Tensor) -> Tensor:
        """Score.

        Args:
            vectors: [texts, 384], see `Encoder.together`.
            states: [tokens, 384], of these texts, and of others.
            text_mask: float32 [texts, tokens], 1 for the tokens of a text.
            routes: The fields of `Routes` for one conversation, without the mask: all are there.

        Returns:
            [texts, C + 1], see `Reader.forward`.
        """
        candidates, covers_domain, *examples = (each.unsqueeze(0) for each in routes)
        mask = torch.ones_like(covers_domain, dtype=torch.bool)
        said = Said(vectors, states.unsqueeze(0), text_mask > 0)
        scores: Tensor = self.reader(said, Routes(candidates, covers_domain, mask, *examples))
        return scores


def reader_inputs(said: Said, routes: Routes) -> dict[str, Tensor]:
    """Give the inputs of the served reader for one conversation."""
    return {
        "vectors": said.vector,
        "states": said.states[0],
        "text_mask": said.mask.float(),
        "candidates": routes.vectors[0],
        "covers_domain": routes.covers_domain[0],
        "examples": routes.examples[0],
        "example_mask": routes.example_mask[0],
        "not_examples": routes.not_examples[0],
        "not_example_mask": routes.not_example_mask[0],
    }


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
    """Write the files of a trained network, with numbers of 8 bits (``int8``) or as they are (``fp32``).

    ``started_from`` names its encoder.
    """
    words = directory / WORDS
    words.write_bytes(read_words())
    encoder, tokenizer = export_encoder(router, started_from, directory, precision)
    reader = directory / READER
    shown = (_as_arrays(reader_inputs(*each)) for each in shown_to_reader(router, started_from))
    _export(partial(_write_reader, router.reader), reader, precision, _head_count(router), shown)
    return encoder, reader, tokenizer, words


def export_encoder(router: Router, started_from: str, directory: Path, precision: str) -> tuple[Path, ...]:
    """Write the encoder of a trained network and its tokenizer, as `export` does."""
    tokenizer = directory / TOKENIZER
    tokenizer.write_text(tokenizer_json(started_from), encoding="utf-8")
    seen = shown_to_encoder(started_from)
    write = partial(_write_encoder, smoothed(router.encoder, seen), started_from)
    shown = (inputs_of([each]) for each in seen)
    return _export(write, directory / ENCODER, precision, _head_count(router), shown), tokenizer


def _as_arrays(tensors: Mapping[str, Tensor]) -> GraphInputs:
    return {name: each.numpy() for name, each in tensors.items()}


def _head_count(router: Router) -> int:
    count: int = router.encoder.transformer.config.num_attention_heads
    return count


def _export(
    write: Callable[[Path], None], target: Path, precision: str, head_count: int, shown: Iterable[GraphInputs]
) -> Path:
    """Write a graph, exact or quantised for what it is shown."""
    if precision == "fp32":
        write(target)
        return target
    with tempfile.TemporaryDirectory() as scratch:
        exact = Path(scratch) / "exact.onnx"
        write(exact)
        # Seven bits per weight: eight would overflow 16-bit sums on a CPU without VNNI, and then only there.
        quantize_dynamic(exact, target, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
    onnx.save_model(with_fixed_ranges(fused(onnx.load(target), head_count), shown), target)
    return target


def _write_encoder(encoder: Encoder, started_from: str, target: Path) -> None:
    ids = torch.arange(1000, 1018)
    positions = torch.arange(9).repeat(2)
    inputs = {
        "input_ids": ids,
        "token_type_ids": positions % 2,
        "position_ids": positions,
        "text_mask": torch.eye(2).repeat_interleave(9, dim=1),
    }
    texts, tokens = torch.export.Dim("texts", max=MAX_TEXTS), torch.export.Dim("tokens", max=MAX_TOKENS)
    axes = {name: {1: tokens, 0: texts} if name == "text_mask" else {0: tokens} for name in inputs}
    _write(ServedEncoder(encoder), inputs, axes, ["vectors", "states"], target)
    if (blocks := embedding_blocks(started_from)) is not None:
        graph = onnx.load(target)
        keep_embedding_in_blocks(graph, *blocks)
        onnx.save_model(graph, target)


def _write_reader(reader: Reader, target: Path) -> None:
    sizes = {"texts": 2, "tokens": 7, "candidates": 5, "examples": 3, "not_examples": 4}
    texts, tokens, candidates, examples, not_examples = sizes.values()
    said = Said(torch.rand(texts, WIDTH), torch.rand(1, tokens, WIDTH), _all(texts, tokens))
    routes = Routes(
        torch.rand(1, candidates, WIDTH),
        torch.zeros(1, candidates, dtype=torch.long),
        _all(1, candidates),
        torch.rand(1, candidates, examples, WIDTH),
        _all(1, candidates, examples),
        torch.rand(1, candidates, not_examples, WIDTH),
        _all(1, candidates, not_examples),
    )
    inputs = reader_inputs(said, routes)
    most = {"texts": MAX_TEXTS, "tokens": MAX_TOKENS}
    dimensions = {size: torch.export.Dim(name, max=most.get(name, MAX_CANDIDATES)) for name, size in sizes.items()}
    axes = {
        name: {place: dimensions[size] for place, size in enumerate(each.shape) if size in dimensions}
        for name, each in inputs.items()
    }
    of_said = {name: axes.pop(name) for name in ("vectors", "states", "text_mask")}
    _write(ServedReader(reader), inputs, {**of_said, "routes": tuple(axes.values())}, ["scores"], target)


def _all(*shape: int) -> Tensor:
    return torch.ones(shape, dtype=torch.bool)


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
