"""Sizes by arithmetic, for the geometry of Qwen2.5-1.5B."""

import pytest
from engine.geometry import Geometry
from engine.precision import Precision
from engine.settings import DEFAULT_FILE, read_settings
from engine.sizes import engine_size, kv_bytes_per_token, logits_bytes, logits_cache_bytes
from engine.weights import Weights

GEOMETRY = Geometry(28, 1536, 2, 128, 151_936, 32_768, is_tied=True)
LAYER = {
    "q.weight": (1536, 1536),
    "q.bias": (1536,),
    "k.weight": (256, 1536),
    "k.bias": (256,),
    "v.weight": (256, 1536),
    "v.bias": (256,),
    "o.weight": (1536, 1536),
    "gate": (8960, 1536),
    "up": (8960, 1536),
    "down": (1536, 8960),
    "norm": (2, 1536),
}
SHAPES = {
    "model.embed_tokens.weight": (151_936, 1536),
    "model.norm.weight": (1536,),
    **{f"{layer}.{name}": shape for layer in range(28) for name, shape in LAYER.items()},
}
WEIGHTS = Weights(SHAPES, 3_087_467_144, ("model.safetensors",))

# 10^9 bytes: weights with the embedding as output layer, and with an output layer of its own (+0.47).
EXPECTED = {"bf16": (3.09, 3.55), "fp8": (1.78, 2.24), "int4_awq": (1.14, 1.61), "int8_wo": (1.78, 2.24)}


def test_the_geometry_has_the_known_number_of_parameters() -> None:
    """The shapes of this test are those of the model."""
    assert 1_543_714_304 == WEIGHTS.parameter_count


@pytest.mark.parametrize("precision", EXPECTED)
def test_an_engines_size_follows_from_its_precision(precision: str) -> None:
    """Embedding and output layer stay in 16 bits."""
    size = engine_size(WEIGHTS, GEOMETRY, Precision(precision), 128)

    assert EXPECTED[precision] == (round(size.least / 1e9, 2), round(size.most / 1e9, 2))


def test_an_untied_checkpoint_counts_its_output_layer_once() -> None:
    """Nothing is added to weights that have it."""
    untied = Weights({**SHAPES, "lm_head.weight": (151_936, 1536)}, 0, ())
    geometry = Geometry(28, 1536, 2, 128, 151_936, 32_768, is_tied=False)
    tied_size = engine_size(WEIGHTS, GEOMETRY, Precision.BF16, 128)

    size = engine_size(untied, geometry, Precision.BF16, 128)

    assert (tied_size.most, tied_size.most) == (size.least, size.most)


def test_memory_of_tokens_and_logits() -> None:
    """28 layers of 2 heads of 128, keys and values, 2 bytes; 151,936 logits of 4 bytes; 8 rows for 64 slots."""
    limits = read_settings(DEFAULT_FILE).engine

    assert 28_672 == kv_bytes_per_token(GEOMETRY)
    assert 37_449 == 2**30 // kv_bytes_per_token(GEOMETRY)
    assert 3.5 == 131_072 * kv_bytes_per_token(GEOMETRY) / 2**30
    assert 607_744 == logits_bytes(GEOMETRY)
    assert 311_164_928 == logits_cache_bytes(GEOMETRY, limits)
