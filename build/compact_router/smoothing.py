"""Eases the encoder's rounding to eight bits: a few channels are far larger than the others, and set the step for all.

What such a channel is divided by, the weights that read it are multiplied with, so that the network stays the same
(SmoothQuant, Xiao et al. 2023). E5 as it was downloaded comes to a cosine of 0.99 to float32 with it, 0.98 without.
"""

import copy
from collections.abc import Iterator, Sequence

import torch
from compact_model.conversation import TextTokens
from torch import Tensor, nn
from torch.nn import functional

from compact_router.batches import LowerStates, encode
from compact_router.network import Encoder

SHARE = 0.75
"""Of the range of a channel that its weights take over, as an exponent."""

SMALLEST = 1e-5


class Smoothed(nn.Module):  # type: ignore[misc, unused-ignore]  # torch may be absent where types are checked
    """A linear layer whose input is divided first."""

    def __init__(self, linear: nn.Linear, largest: Tensor) -> None:
        """Take a layer over; ``largest`` is the largest input of each channel, [inputs]."""
        super().__init__()
        of_weights = linear.weight.detach().abs().amax(dim=0).clamp(min=SMALLEST)
        share = largest.clamp(min=SMALLEST) ** SHARE / of_weights ** (1 - SHARE)
        share = share / share.median()
        self.inverse = nn.Parameter(1.0 / share)
        self.weight, self.bias = nn.Parameter(linear.weight.detach() * share), linear.bias

    def forward(self, states: Tensor) -> Tensor:
        """Give what the layer gave."""
        return functional.linear(states * self.inverse, self.weight, self.bias)


def smoothed(encoder: Encoder, sequences: Sequence[TextTokens]) -> Encoder:
    """Copy an encoder with its feed-forward layers smoothed, by what they see of some sequences of ids and types."""
    copied: Encoder = copy.deepcopy(encoder)
    copied.eval()
    largest: dict[nn.Linear, Tensor] = {}

    def note(layer: nn.Linear, given: tuple[Tensor, ...]) -> None:
        seen = given[0].detach().abs().flatten(0, -2).amax(dim=0)
        largest[layer] = torch.maximum(largest.get(layer, seen), seen)

    handles = [getattr(owner, name).register_forward_pre_hook(note) for owner, name in _feed_forward(copied)]
    with torch.inference_mode():
        encode(copied, LowerStates(copied, 0), sequences)
    for handle in handles:
        handle.remove()
    for owner, name in _feed_forward(copied):
        linear = getattr(owner, name)
        setattr(owner, name, Smoothed(linear, largest[linear].clone()))
    return copied


def _feed_forward(encoder: Encoder) -> Iterator[tuple[nn.Module, str]]:
    for layer in encoder.transformer.encoder.layer:
        yield layer.intermediate, "dense"
        yield layer.output, "dense"
