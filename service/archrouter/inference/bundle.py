"""What the language model needs of a prompt bundle; `archrouter.bundles` reads bundles that have it."""

from dataclasses import dataclass
from typing import Protocol

from archrouter.domain.prompt import PromptCompiler
from archrouter.domain.scoring import BackendProfile


class EngineLimits(Protocol):
    """Bounds that a TensorRT engine was built for."""

    @property
    def max_batch_size(self) -> int:
        """Requests of one step."""
        ...

    @property
    def vocab_size(self) -> int:
        """Rows of logits, padding included."""
        ...


@dataclass(frozen=True, slots=True)
class Bundle:
    """Prompt, tokenizer and limits that belong to the weights of one model.

    Attributes:
        compiler: Compiles policy sets for the weights.
        profile: The model's facts, as a decision reports them.
        engine: Of the TensorRT engine; None for weights that are served on the CPU.
        end_id: Token that ends the model's turn.
        pad_id: Token that fills.
    """

    compiler: PromptCompiler
    profile: BackendProfile
    engine: EngineLimits | None
    end_id: int
    pad_id: int
