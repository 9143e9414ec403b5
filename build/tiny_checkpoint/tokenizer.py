"""The tiny checkpoint's tokenizer: byte-level BPE with Qwen2's pre-tokenizer, normaliser and special tokens."""

from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

# 256 bytes + merges, then the special tokens; the model's vocabulary is padded further, as the real one's is
# (151,936 rows for 151,665 tokens), so that code which takes len(tokenizer) for the logits' width fails in tests.
BPE_TOKEN_COUNT = 960
PADDED_VOCABULARY_SIZE = 1024

PAD_TOKEN = "<|endoftext|>"  # noqa: S105 - a token of the vocabulary, not a credential
TURN_START_TOKEN = "<|im_start|>"  # noqa: S105 - as above
TURN_END_TOKEN = "<|im_end|>"  # noqa: S105 - as above
SPECIAL_TOKENS = (PAD_TOKEN, TURN_START_TOKEN, TURN_END_TOKEN)

# The pattern of Qwen2's tokenizer.json (Qwen/Qwen2-1.5B-Instruct): contractions, words with one leading
# non-letter, single digits, punctuation runs with trailing newlines, newlines, spaces.
QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Train the byte-level BPE.

    Args:
        texts: Prompts with their answers; special tokens written out are learned as those tokens only.

    Returns:
        The tokenizer, ids ``0 .. BPE_TOKEN_COUNT - 1`` for the BPE and the special tokens after them.
    """
    tokenizer = Tokenizer(models.BPE(byte_fallback=False))
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(QWEN2_PATTERN), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=BPE_TOKEN_COUNT,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((_without_special_tokens(text) for text in texts), trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    return tokenizer


def _without_special_tokens(text: str) -> str:
    """Remove special tokens so that their letters do not become merges."""
    for token in SPECIAL_TOKENS:
        text = text.replace(token, "")
    return text
