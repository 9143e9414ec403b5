"""Make a checkpoint of served files, to train on from: nothing else is kept of a network, and seven bits are enough.

Takes what compact_router.export wrote with its default precision, by the same version of the exporter.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from compact_model.encoder import OTHER_LANGUAGES
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper

from compact_router.export import ENCODER, READER
from compact_router.learner import CheckpointDocument, make_router, weights_of
from compact_router.manifest import MODEL_DIRECTORY, VERSION, read_json
from compact_router.pretrained import ENCODERS

_WITHOUT_BIAS = [
    f"reader.{part}.{layer}" for part in ("examples", "not_examples") for layer in ("read_in", "product_in")
]
"""Layers that no bias names, in the order in which the reader runs them."""

_BIAS = 6
"""Place of the bias among the inputs of a layer, which not every layer has."""

_MORE_LAYERS_THAN_ANY = 1000


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(
        prog="python -m compact_router.recover",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m compact_router.recover out/served.pt && "
        "python -m compact_router.train out/router --sources TRAIN_SOURCES --start out/served.pt --encoder bge",
    )
    parser.add_argument("output", type=Path, help="checkpoint to write")
    parser.add_argument("--model-directory", type=Path, default=MODEL_DIRECTORY, help="default: the one in this tree")
    parser.add_argument("--other-languages", action="store_true", help="of the encoder of other languages")
    given = parser.parse_args()
    given.output.parent.mkdir(parents=True, exist_ok=True)
    torch.save(recover(given.model_directory, OTHER_LANGUAGES if given.other_languages else ""), given.output)


def recover(model_directory: Path, folder: str = "") -> CheckpointDocument:
    """Read the weights of a served network, but for the embeddings, which training leaves as they were downloaded.

    Args:
        model_directory: The model.
        folder: Of the encoder below the version folder; the reader is the same for all.

    Raises:
        ValueError: When the files are not those that the exporter writes.
    """
    package = read_json(model_directory / "manifest.json")[folder or "network"]["start"]["package"].partition("==")[0]
    (encoder,) = (name for name, each in ENCODERS.items() if each.name == package)
    trained = weights_of(make_router(encoder, _MORE_LAYERS_THAN_ANY))
    found: dict[str, NDArray[np.float32]] = {}
    for file in (Path(folder, ENCODER), READER):
        found.update(_Graph(onnx.load(model_directory / VERSION / file).graph).weights())
    if missing := sorted(trained.keys() - found.keys()):
        msg = f"{model_directory}: no {', '.join(missing[:3])} and {len(missing)} weights altogether; export again"
        raise ValueError(msg)
    router = {name: torch.from_numpy(found[name].reshape(each.shape).copy()) for name, each in trained.items()}
    return {"encoder": encoder, "router": router}


class _Graph:
    """A graph as it was exported: what it keeps of each weight, by the network's own name for it."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._nodes = graph.node
        self._constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}

    def weights(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Go through the weights; one that is there twice comes last as the exact one."""
        for name in self._constants:
            if name.endswith("_quantized"):
                yield name.removesuffix("_quantized"), self._exact(name)
        attention = [node for node in self._nodes if node.op_type == "QAttention"]
        for number, node in enumerate(attention):
            layer = f"encoder.transformer.encoder.layer.{number}.attention.self"
            weights = np.split(self._exact(node.input[1], scale=node.input[4], zero_point=node.input[7]), 3, axis=1)
            biases = np.split(self._constants[node.input[2]], 3)
            for part, weight, bias in zip(("query", "key", "value"), weights, biases, strict=True):
                yield f"{layer}.{part}.weight", weight.T
                yield f"{layer}.{part}.bias", bias
        without_bias = iter(_WITHOUT_BIAS)
        for node in sorted((node for node in self._nodes if node.op_type == "MatMulIntegerToFloat"), key=_number):
            of_bias = "".join(node.input[_BIAS:])
            name = of_bias.removesuffix(".bias") or next(without_bias)
            weight = self._exact(node.input[1]).T
            yield f"{name}.weight", weight * self._constants.get(f"{name}.inverse", np.float32(1))
        yield from self._constants.items()

    def _exact(self, name: str, scale: str = "", zero_point: str = "") -> NDArray[np.float32]:
        base = name.removesuffix("_quantized")
        zero = self._constants[zero_point or f"{base}_zero_point"].astype(np.float32)
        exact: NDArray[np.float32] = (self._constants[name] - zero) * self._constants[scale or f"{base}_scale"]
        return exact


def _number(node: NodeProto) -> int:
    """Read the place in the exporter's own order from the name of a weight, ``val_33_quantized``."""
    return int("".join(filter(str.isdigit, node.input[1])) or 0)


if __name__ == "__main__":
    main()
