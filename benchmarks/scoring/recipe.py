"""What the benchmark's model is like, and where it is kept."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.scoring.workload import TOPICS_FILE

PAD_TOKEN = "<|endoftext|>"  # noqa: S105  # a control token's text, not a secret
END_TOKEN = "<|im_end|>"  # noqa: S105  # same
SPECIAL_TOKENS = (PAD_TOKEN, "<|im_start|>", END_TOKEN)

_ROOT = Path(__file__).parents[2]
_CACHE = _ROOT / ".cache" / "benchmarks"
_PROMPT_TEMPLATE = Path(__file__).with_name("prompt_template.txt")
_DIGEST_CHARACTERS = 12


@dataclass(frozen=True, slots=True)
class Recipe:
    """A random Qwen2. Everything that decides its bytes but the versions of the libraries.

    Attributes:
        layer_count: Transformer layers.
        hidden_size: Width.
        intermediate_size: Width inside the MLP.
        query_head_count: Attention heads.
        key_value_head_count: Heads of keys and values, shared by the query heads.
        vocabulary_size: Rows of logits; more than tokens, as in Qwen2.5, whose tokenizer has 271 fewer.
        token_count: Tokens that the byte-pair encoding learns at most, before the control tokens.
        position_count: Tokens the model is made for.
        max_prompt_token_count: Tokens a prompt may have.
        weight_deviation: Standard deviation of every weight matrix. At transformers' default, 0.02, attention is even
            over all positions and what a random model answers hardly depends on what it read.
        logit_gain: Weight of the final norm, so a factor on every logit. At 1 a random model is undecided between all
            candidates, as no trained router is; the default makes it about as sure of itself as one.
        seed: Of torch's generator.
    """

    layer_count: int = 12
    hidden_size: int = 640
    intermediate_size: int = 2816
    query_head_count: int = 10
    key_value_head_count: int = 2
    vocabulary_size: int = 32_768
    token_count: int = 4_096
    position_count: int = 16_384
    max_prompt_token_count: int = 9_000
    weight_deviation: float = 0.08
    logit_gain: float = 4.0
    seed: int = 20_250_618

    @property
    def parameter_count(self) -> int:
        """Weights, the tied embedding counted once."""
        head_size = self.hidden_size // self.query_head_count
        projected = head_size * (self.query_head_count + 2 * self.key_value_head_count)
        attention = self.hidden_size * projected + projected + self.hidden_size**2
        layer = attention + 3 * self.hidden_size * self.intermediate_size + 2 * self.hidden_size
        return self.vocabulary_size * self.hidden_size + self.layer_count * layer + self.hidden_size

    @property
    def bundle(self) -> Path:
        """Folder of its bundle in the git-ignored cache; another recipe, prompt or text has another."""
        text = json.dumps(asdict(self), sort_keys=True) + prompt_template() + TOPICS_FILE.read_text("utf-8")
        digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]
        return _CACHE / f"random-qwen2-{self.parameter_count // 1_000_000}m-{digest}"


def prompt_template() -> str:
    """Return the benchmark's prompt, in this project's own words and about as long as the real one."""
    return _PROMPT_TEMPLATE.read_text("utf-8")
