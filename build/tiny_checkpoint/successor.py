"""Makes the second tiny checkpoint: Qwen3's architecture and random weights, for tests of its geometry and answer form.

Run as ``python -m tiny_checkpoint.successor DIRECTORY`` with this folder's parent on the module path. The tokenizer and
its config are those of the trained tiny checkpoint; nothing is trained.
"""

import argparse
import shutil
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

from tiny_checkpoint.onnx_export import export
from tiny_checkpoint.tokenizer import PAD_TOKEN, PADDED_VOCABULARY_SIZE, TURN_END_TOKEN

ROOT = Path(__file__).parents[2]
TRAINED = ROOT / "tests" / "data" / "tiny_checkpoint"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
SEED = 3
SPREAD = 0.3
"""Standard deviation of the weights: wide enough for answers that differ in probability."""


def make_successor(tokenizer: Tokenizer) -> Qwen3ForCausalLM:
    """Make the model; its weights follow torch's seed.

    Args:
        tokenizer: The trained tokenizer, for the special ids.

    Returns:
        A model whose heads together are twice as wide as it is, which no Qwen2 has.
    """
    pad_id, end_id = tokenizer.token_to_id(PAD_TOKEN), tokenizer.token_to_id(TURN_END_TOKEN)
    config = Qwen3Config(
        vocab_size=PADDED_VOCABULARY_SIZE,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=2048,
        initializer_range=SPREAD,
        tie_word_embeddings=True,
        use_cache=True,
        bos_token_id=pad_id,
        eos_token_id=end_id,
        pad_token_id=pad_id,
    )
    model = Qwen3ForCausalLM(config)
    model.generation_config = GenerationConfig(
        do_sample=False, bos_token_id=pad_id, pad_token_id=pad_id, eos_token_id=[end_id, pad_id]
    )
    return model


def main() -> None:
    """Write the checkpoint and its ONNX export."""
    parser = argparse.ArgumentParser(prog="python -m tiny_checkpoint.successor", description=__doc__)
    parser.add_argument("directory", type=Path, help="the checkpoint's folder")
    directory = parser.parse_args().directory
    directory.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    make_successor(Tokenizer.from_file(str(TRAINED / TOKENIZER_FILES[0]))).to(torch.bfloat16).save_pretrained(directory)
    for name in TOKENIZER_FILES:
        shutil.copy(TRAINED / name, directory / name)
    export(directory, directory / "onnx")


if __name__ == "__main__":
    main()
