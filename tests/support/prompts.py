"""Tokenizers small enough for a test, one of the Qwen2 kind, and prompts to use them on."""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, normalizers, pre_tokenizers
from tokenizers import Tokenizer as HfTokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from archrouter.domain.dialect import Dialect
from archrouter.domain.policy import ModelTarget, PolicySet, RoutePolicy
from archrouter.domain.template import PromptFormat, PromptTemplate

LARGE = 1_000_000
"""A budget in tokens that no test reaches."""

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "prompts"
"""Prompt templates in this project's own words, and whole prompts made from them."""

# Qwen2's own pre-tokenizer (huggingface/transformers, models/qwen2/tokenization_qwen2.py, PRETOKENIZE_REGEX).
QWEN2_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class BytePairTokenizer:
    """A byte-level BPE with Qwen2's normaliser, pre-tokenizer and kinds of added tokens."""

    def __init__(self, corpus: Iterable[str]) -> None:
        """Train on the corpus."""
        template = HfTokenizer(BPE())
        template.normalizer = normalizers.NFC()
        template.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(QWEN2_WORDS), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        template.decoder = ByteLevelDecoder()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = BpeTrainer(vocab_size=1500, min_frequency=2, initial_alphabet=alphabet, show_progress=False)
        template.train_from_iterator(corpus, trainer)
        # Trained text has no added tokens, so this is how the plain tokenizer is made from a file: leave them out.
        self._plain = HfTokenizer.from_str(template.to_str())
        special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        template.add_tokens([AddedToken(text, special=True, normalized=False) for text in special])
        template.add_tokens(
            [AddedToken(text, special=False, normalized=False) for text in ("<tool_call>", "</tool_call>")]
        )
        self._template = template
        self.control_ids = frozenset(range(self._plain.get_vocab_size(), template.get_vocab_size()))

    @property
    def vocab_size(self) -> int:
        """Ids, control tokens included."""
        return int(self._template.get_vocab_size())

    def encode_text(self, text: str) -> tuple[int, ...]:
        """Encode without added tokens."""
        return tuple(self._plain.encode(text, add_special_tokens=False).ids)

    def encode_template(self, text: str) -> tuple[int, ...]:
        """Encode with added tokens."""
        return tuple(self._template.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: tuple[int, ...]) -> str:
        """Give the text back, control tokens spelled out."""
        return str(self._template.decode(list(ids), skip_special_tokens=False))


class LongestMatchTokenizer:
    """Cuts text greedily into given pieces, else into characters; every id is a position in its vocabulary."""

    def __init__(
        self, pieces: Iterable[str] = (), *, control: str = "<|im_end|>", plain_sees_control: bool = False
    ) -> None:
        """Take the pieces; the control token is one when template text spells it."""
        self._pieces = sorted(pieces, key=len, reverse=True)
        self._control = control
        self._plain_sees_control = plain_sees_control
        self._ids: dict[str, int] = {control: 0}

    @property
    def vocab_size(self) -> int:
        """More than the test will use."""
        return 5000

    def encode_text(self, text: str) -> tuple[int, ...]:
        """Encode plain text."""
        return self._encode(text, [*([self._control] if self._plain_sees_control else []), *self._pieces])

    def encode_template(self, text: str) -> tuple[int, ...]:
        """Encode template text."""
        return self._encode(text, [self._control, *self._pieces])

    def _encode(self, text: str, pieces: list[str]) -> tuple[int, ...]:
        tokens = []
        while text:
            token = next((piece for piece in pieces if text.startswith(piece)), text[0])
            tokens.append(token)
            text = text[len(token) :]
        # Position 0 is the control token's alone, so plain text never reaches it by spelling.
        return tuple(self._ids.setdefault(token, len(self._ids)) for token in tokens)


FORMATS = {
    dialect: PromptFormat(
        template=PromptTemplate.parse((GOLDEN / f"template_{dialect.value}.txt").read_bytes().decode()),
        dialect=dialect,
        chat_head="<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n",
        chat_tail="<|im_end|>\n<|im_start|>assistant\n",
        end_token="<|im_end|>",  # noqa: S106 - a control token's text is no password
    )
    for dialect in Dialect
}
"""A prompt in each dialect, framed by a ChatML template."""


def make_routes(*routes: tuple[str, str]) -> PolicySet:
    """Make a policy set from pairs of id and description."""
    target = (ModelTarget("vendor/model"),)
    policies = tuple(RoutePolicy(name, "", "", text, target) for name, text in routes)
    return PolicySet("set", "", policies, target)
