"""The tiny checkpoint's architecture: Qwen2 with grouped-query attention, biases on q/k/v and tied embeddings."""

import torch
from tokenizers import Tokenizer
from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

from tiny_checkpoint.tokenizer import PAD_TOKEN, PADDED_VOCABULARY_SIZE, TURN_END_TOKEN

HIDDEN_SIZE = 128
INTERMEDIATE_SIZE = 224
LAYER_COUNT = 4
QUERY_HEAD_COUNT = 4
KEY_VALUE_HEAD_COUNT = 2
MAX_TOKENS = 1024


def make_model(tokenizer: Tokenizer) -> Qwen2ForCausalLM:
    """Make the untrained model; its weights follow torch's seed.

    Args:
        tokenizer: The trained tokenizer, for the special ids.

    Returns:
        A model with 0.67 million parameters in float32.
    """
    pad_id, end_id = tokenizer.token_to_id(PAD_TOKEN), tokenizer.token_to_id(TURN_END_TOKEN)
    config = Qwen2Config(
        vocab_size=PADDED_VOCABULARY_SIZE,
        hidden_size=HIDDEN_SIZE,
        intermediate_size=INTERMEDIATE_SIZE,
        num_hidden_layers=LAYER_COUNT,
        num_attention_heads=QUERY_HEAD_COUNT,
        num_key_value_heads=KEY_VALUE_HEAD_COUNT,
        max_position_embeddings=MAX_TOKENS,
        tie_word_embeddings=True,
        use_cache=True,
        bos_token_id=pad_id,
        eos_token_id=end_id,
        pad_token_id=pad_id,
        # On the CPU torch's fused attention has a backward pass eight times slower than the plain one at this size.
        attn_implementation="eager",
    )
    model = Qwen2ForCausalLM(config)
    # Both ends, as the real checkpoint's generation_config lists them.
    model.generation_config = GenerationConfig(
        do_sample=False, bos_token_id=pad_id, pad_token_id=pad_id, eos_token_id=[end_id, pad_id]
    )
    return model


def round_to_bfloat16(model: Qwen2ForCausalLM) -> None:
    """Round every weight to bfloat16 in place and keep computing in float32.

    The files store bfloat16; rounding before the evaluation makes every reported number that of the stored weights.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.to(torch.bfloat16).to(torch.float32))
