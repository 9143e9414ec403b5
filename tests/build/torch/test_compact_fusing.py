"""What is put together in the served graph computes what it computed apart."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from compact_router.export import OPSET
from compact_router.fusing import fused
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

WIDTH, HEADS, TOKENS = 32, 4, 7


@pytest.fixture
def quantised(tmp_path: Path) -> onnx.ModelProto:
    """Make one layer of attention, and the activation of what comes out, as the exporter writes both."""
    random = np.random.default_rng(1)
    constants = {
        "apart": np.array([0, 0, HEADS, WIDTH // HEADS]),
        "together": np.array([0, 0, WIDTH]),
        "scale": np.float32((WIDTH // HEADS) ** -0.5),
        "mask": np.zeros((1, 1, 1, TOKENS), dtype=np.float32),
        "root": np.float32(np.sqrt(2)),
        "one": np.float32(1),
        "half": np.float32(0.5),
    }
    nodes = []
    for name, order in (("q", (0, 2, 1, 3)), ("k", (0, 2, 3, 1)), ("v", (0, 2, 1, 3))):
        constants[f"{name}_weight"] = random.normal(size=(WIDTH, WIDTH)).astype(np.float32)
        constants[f"{name}_bias"] = random.normal(size=WIDTH).astype(np.float32)
        nodes += [
            helper.make_node("MatMul", ["states", f"{name}_weight"], [f"{name}_product"], f"{name}_linear"),
            helper.make_node("Add", [f"{name}_product", f"{name}_bias"], [f"{name}_sum"]),
            helper.make_node("Reshape", [f"{name}_sum", "apart"], [f"{name}_heads"]),
            helper.make_node("Transpose", [f"{name}_heads"], [name], perm=order),
        ]
    nodes += [
        helper.make_node("MatMul", ["q", "k"], ["products"], "products_of_heads"),
        helper.make_node("Mul", ["products", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "mask"], ["masked"]),
        helper.make_node("Softmax", ["masked"], ["weights"], axis=-1),
        helper.make_node("MatMul", ["weights", "v"], ["context_heads"], "context_of_heads"),
        helper.make_node("Transpose", ["context_heads"], ["context_apart"], perm=(0, 2, 1, 3)),
        helper.make_node("Reshape", ["context_apart", "together"], ["context"]),
        helper.make_node("Div", ["context", "root"], ["divided"]),
        helper.make_node("Erf", ["divided"], ["error"]),
        helper.make_node("Add", ["error", "one"], ["raised"]),
        helper.make_node("Mul", ["half", "raised"], ["halved"]),
        helper.make_node("Mul", ["context", "halved"], ["activated"]),
    ]
    graph = helper.make_graph(
        nodes,
        "layer",
        [helper.make_tensor_value_info("states", TensorProto.FLOAT, ["batch", "tokens", WIDTH])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("context", "activated")],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.save_model(model, tmp_path / "exact.onnx")
    quantize_dynamic(
        tmp_path / "exact.onnx",
        tmp_path / "int8.onnx",
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        extra_options={"MatMulConstBOnly": True},
    )
    return onnx.load(tmp_path / "int8.onnx")


def run(model: onnx.ModelProto) -> list[np.ndarray]:  # type: ignore[type-arg]  # of float32
    """Run a graph on the same states each time."""
    states = np.random.default_rng(2).normal(size=(1, TOKENS, WIDTH)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs: list[np.ndarray] = session.run(["context", "activated"], {"states": states})  # type: ignore[type-arg]
    return outputs


def test_attention_and_the_activation_are_one_step_each_and_give_what_they_gave(quantised: onnx.ModelProto) -> None:
    """Attention to the last bit, the activation but for rounding."""
    context, activated = run(quantised)

    model = fused(quantised, HEADS)

    kinds = Counter(node.op_type for node in model.graph.node)
    assert {"DynamicQuantizeLinear": 1, "QAttention": 1, "Gelu": 1} == kinds
    found = run(model)
    assert context.tobytes() == found[0].tobytes()
    assert activated == pytest.approx(found[1], abs=1e-6)
