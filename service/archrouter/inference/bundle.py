"""What the language model needs of a prompt bundle; `archrouter.bundles` reads bundles that have it."""

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


class Bundle(Protocol):
    """Prompt, tokenizer and limits that belong to the weights of one model."""

    @property
    def compiler(self) -> PromptCompiler:
        """Compiles policy sets for the weights."""
        ...

    @property
    def profile(self) -> BackendProfile:
        """The model's facts, as a decision reports them."""
        ...

    @property
    def engine(self) -> EngineLimits | None:
        """Of the TensorRT engine; None for weights that are served on the CPU."""
        ...

    @property
    def end_id(self) -> int:
        """Token that ends the model's turn."""
        ...

    @property
    def pad_id(self) -> int:
        """Token that fills."""
        ...
