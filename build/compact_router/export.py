"""Export a trained network to ONNX, quantised to 8 bits: encoder.onnx, reader.onnx, tokenizer and words.

The same checkpoint and package versions give the same bytes.
"""

import argparse
import shutil
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import onnx
import torch
from compact_model.digest import PREFIX
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor, nn

from compact_router.learner import load_router
from compact_router.manifest import MODEL_DIRECTORY, VERSION, JsonObject, digest_of, update_manifest
from compact_router.network import WIDTH, Encoder, Reader, Router
from compact_router.pretrained import (
    PACKAGE,
    SOURCE_DIGESTS,
    UPSTREAM,
    WORDS_DIGEST,
    WORDS_FILE,
    WORDS_PACKAGE,
    pretrained_directory,
    read_words,
)

OPSET = 18
MAX_SEQUENCE_TOKENS = 512
"""Positions of the weights; the router's window is shorter."""

MAX_CANDIDATES = 100_000

TOOLS = ("onnx", "onnx-ir", "onnxruntime", "onnxscript", "torch", "transformers")
ENCODER, READER, TOKENIZER, WORDS = "encoder.onnx", "reader.onnx", "tokenizer.json", "words.txt"


class ServedEncoder(nn.Module):  # type: ignore[misc, unused-ignore]  # torch may be absent where types are checked
    """The encoder for one sequence, without padding."""

    def __init__(self, encoder: Encoder) -> None:
        """Wrap the trained encoder."""
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: Tensor, token_type_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Encode.

        Args:
            input_ids: int64 [1, sequence].
            token_type_ids: int64 [1, sequence].

        Returns:
            Unit vector [1, 384] and states [1, sequence, 384].
        """
        vector, states = self.encoder(input_ids, token_type_ids, torch.ones_like(input_ids))
        return vector, states


class ServedReader(nn.Module):  # type: ignore[misc, unused-ignore]  # see above
    """The reader for one conversation, without padding."""

    def __init__(self, reader: Reader) -> None:
        """Wrap the trained reader."""
        super().__init__()
        self.reader = reader

    def forward(self, vector: Tensor, states: Tensor, candidates: Tensor, covers_domain: Tensor) -> Tensor:
        """Score.

        Args:
            vector: [1, 384].
            states: [1, sequence, 384].
            candidates: [1, N, 384].
            covers_domain: int64 [1, N].

        Returns:
            [1, N + 1].
        """
        state_mask = torch.ones(states.shape[:2], dtype=torch.bool)
        candidate_mask = torch.ones(candidates.shape[:2], dtype=torch.bool)
        scores: Tensor = self.reader(vector, states, state_mask, candidates, covers_domain, candidate_mask)
        return scores


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m compact_router.export", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="checkpoint.pt of compact_router.train")
    parser.add_argument("--model-directory", type=Path, default=MODEL_DIRECTORY, help="default: the one in this tree")
    parser.add_argument("--precision", choices=("int8", "fp32"), default="int8", help="default: %(default)s")
    arguments = parser.parse_args()
    router = load_router(arguments.checkpoint)
    directory: Path = arguments.model_directory / VERSION
    directory.mkdir(parents=True, exist_ok=True)
    for path in export(router, directory, arguments.precision):
        print(f"wrote {path.name}: {path.stat().st_size} bytes, {PREFIX}{digest_of(path)}")
    update_manifest(arguments.model_directory, network=provenance(arguments.precision))
    print("now calibrate: python -m compact_router.calibrate")


def export(router: Router, directory: Path, precision: str) -> tuple[Path, ...]:
    """Write the files of a trained network, with weights of 8 bits (``int8``) or as they are (``fp32``)."""
    encoder, reader, tokenizer, words = (directory / name for name in (ENCODER, READER, TOKENIZER, WORDS))
    with tempfile.TemporaryDirectory() as scratch:
        exact = Path(scratch) / "exact.onnx"
        for write, target in ((_write_encoder, encoder), (_write_reader, reader)):
            write(router, exact)
            if precision == "int8":
                # Seven bits per weight: eight would overflow 16-bit sums on a CPU without VNNI, and then only there.
                quantize_dynamic(exact, target, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
            else:
                shutil.copyfile(exact, target)
    shutil.copyfile(pretrained_directory() / TOKENIZER, tokenizer)
    words.write_bytes(read_words())
    return encoder, reader, tokenizer, words


def _write_encoder(router: Router, target: Path) -> None:
    ids = torch.arange(1000, 1018).reshape(1, 18)
    types = torch.zeros_like(ids)
    types[:, 9:] = 1
    sequence = torch.export.Dim("sequence", max=MAX_SEQUENCE_TOKENS)
    _write(
        ServedEncoder(router.encoder),
        {"input_ids": ids, "token_type_ids": types},
        {"input_ids": {1: sequence}, "token_type_ids": {1: sequence}},
        ["vector", "states"],
        target,
    )


def _write_reader(router: Router, target: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    inputs = {
        "vector": torch.randn(1, WIDTH, generator=generator),
        "states": torch.randn(1, 7, WIDTH, generator=generator),
        "candidates": torch.randn(1, 5, WIDTH, generator=generator),
        "covers_domain": torch.zeros(1, 5, dtype=torch.long),
    }
    sequence = torch.export.Dim("sequence", max=MAX_SEQUENCE_TOKENS)
    count = torch.export.Dim("candidates", max=MAX_CANDIDATES)
    axes = {"vector": {}, "states": {1: sequence}, "candidates": {1: count}, "covers_domain": {1: count}}
    _write(ServedReader(router.reader), inputs, axes, ["scores"], target)


def _write(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    axes: Mapping[str, Mapping[int, object]],
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


def strip(model: onnx.ModelProto) -> None:
    """Remove what the exporter notes about its own run: stack traces would carry this machine's paths."""
    graph = model.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    for owner in (graph, model):
        owner.ClearField("doc_string")
        owner.ClearField("metadata_props")


def provenance(precision: str) -> JsonObject:
    """Say what the network was made from, and with what: the manifest's section ``network``."""
    return {
        "start": {
            "package": f"{PACKAGE}=={metadata.version(PACKAGE)}",
            "upstream": UPSTREAM,
            "licence": "Apache-2.0",
            "files": {name: PREFIX + digest for name, digest in SOURCE_DIGESTS.items()},
        },
        "words": {
            "package": f"{WORDS_PACKAGE}=={metadata.version(WORDS_PACKAGE)}",
            "licence": "MIT",
            "files": {WORDS_FILE: PREFIX + WORDS_DIGEST},
        },
        "precision": precision,
        "opset": OPSET,
        "tools": {name: metadata.version(name) for name in TOOLS},
    }


if __name__ == "__main__":
    main()
