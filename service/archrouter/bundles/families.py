"""Model families: everything about an architecture that the code needs to know, as data.

A checkpoint names its family as ``model_type`` in its ``config.json``. A family's prompt and answer are what the router
weights of that family were trained with; a bundle's manifest stores them, so that serving reads the manifest alone.

Sources: katanemo/Arch-Router-1.5B for Qwen2, katanemo/plano (``orchestrator_model_v1.rs``) for Qwen3. TensorRT-LLM
converts both (``tensorrt_llm/models/qwen/config.py`` lists them), as does the model builder of ONNX Runtime GenAI.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from archrouter.domain.answer import LIST_ANSWER, AnswerSkeleton
from archrouter.domain.dialect import Dialect


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """What the checkpoints of an architecture have in common.

    Attributes:
        dialect: The JSON its router weights were trained to read; the default of a bundle.
        skeleton: The answer its router prompt asks for, until the weights' own is measured.
        max_message_count: The newest messages they were trained to read; None reads all.
        layer_tensors: Tensors that tell the architecture, by name within a layer; the dimensions of each are ``hidden``
            (the width), ``head`` (the size of an attention head) or ``query`` (all heads together).
    """

    dialect: Dialect
    skeleton: AnswerSkeleton
    max_message_count: int | None
    layer_tensors: Mapping[str, tuple[str, ...]]


FAMILIES: Mapping[str, ModelFamily] = MappingProxyType(
    {
        "qwen2": ModelFamily(
            dialect=Dialect.CARD,
            skeleton=AnswerSkeleton(),
            max_message_count=None,
            layer_tensors={"self_attn.q_proj.weight": ("query", "hidden"), "self_attn.q_proj.bias": ("query",)},
        ),
        "qwen3": ModelFamily(
            dialect=Dialect.PLANO,
            skeleton=LIST_ANSWER,
            max_message_count=16,
            layer_tensors={
                "self_attn.q_proj.weight": ("query", "hidden"),
                "self_attn.q_norm.weight": ("head",),
                "self_attn.k_norm.weight": ("head",),
            },
        ),
    }
)
"""By ``model_type``."""
