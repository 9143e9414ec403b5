"""Average the weights of checkpoints of one training: the mean holds on new domains what the last one has unlearned."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from compact_router.learner import START_AS_ZERO, CheckpointDocument
from compact_router.pretrained import MINILM


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m compact_router.average", description=__doc__)
    parser.add_argument("output", type=Path, help="checkpoint to write")
    parser.add_argument("checkpoints", type=Path, nargs="+", help="checkpoints of compact_router.train")
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    torch.save(average([torch.load(path, weights_only=True) for path in arguments.checkpoints]), arguments.output)


def average(documents: Sequence[CheckpointDocument]) -> CheckpointDocument:
    """Average networks that started from the same weights, into a checkpoint without the state of an optimiser.

    An older one may lack parts that start as zero, and counts as that.
    """
    networks = [document["router"] for document in documents]
    widest = max(networks, key=len)

    def of(network: Mapping[str, Tensor], name: str) -> Tensor:
        lacks = name not in network and name.startswith(START_AS_ZERO)
        return torch.zeros_like(widest[name]) if lacks else network[name]

    mean = {
        name: torch.stack([of(network, name).double() for network in networks]).mean(dim=0).to(weight.dtype)
        for name, weight in widest.items()
    }
    return {"encoder": documents[0].get("encoder", MINILM), "router": mean}


if __name__ == "__main__":
    main()
