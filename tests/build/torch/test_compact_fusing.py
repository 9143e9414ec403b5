"""What is put together in the served graph computes what it computed apart, and its numbers keep to fixed ranges."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from compact_router.export import OPSET
from compact_router.fusing import fused
from compact_router.ranges import with_fixed_ranges
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

WIDTH, HEADS, TOKENS = 32, 4, 7
OUTPUTS = ["context", "activated", "after"]
OF_TEXT = np.array([0, 0, 0, 1, 1, 1, 1])

Array = NDArray[np.float32]


@pytest.fixture
def quantised(tmp_path: Path) -> onnx.ModelProto:
    """Make attention of two texts of three and four tokens, the activation of what comes out, and a layer after it.

    It is as the exporter writes them.
    """
    random = np.random.default_rng(1)
    constants = {
        "apart": np.array([0, 0, HEADS, WIDTH // HEADS]),
        "together": np.array([0, 0, WIDTH]),
        "scale": np.float32((WIDTH // HEADS) ** -0.5),
        "mask": np.where(OF_TEXT[:, None] == OF_TEXT, 0, -1e4).astype(np.float32)[None, None],
        "root": np.float32(np.sqrt(2)),
        "one": np.float32(1),
        "half": np.float32(0.5),
        "after_weight": random.normal(size=(WIDTH, WIDTH)).astype(np.float32),
        "after_bias": random.normal(size=WIDTH).astype(np.float32),
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
        helper.make_node("MatMul", ["activated", "after_weight"], ["after_product"], "after_linear"),
        helper.make_node("Add", ["after_product", "after_bias"], ["after"]),
    ]
    graph = helper.make_graph(
        nodes,
        "layer",
        [helper.make_tensor_value_info("states", TensorProto.FLOAT, ["batch", "tokens", WIDTH])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in OUTPUTS],
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


def run(model: onnx.ModelProto, states: Array) -> list[Array]:
    """Run a graph."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs: list[Array] = session.run(OUTPUTS, {"states": states})
    return outputs


def states_of(seed: int) -> Array:
    """Draw states."""
    return np.random.default_rng(seed).normal(size=(1, TOKENS, WIDTH)).astype(np.float32)


def test_attention_activation_and_product_are_one_step_each_and_give_what_they_gave(
    quantised: onnx.ModelProto,
) -> None:
    """Attention to the last bit, the others but for rounding."""
    expected = run(quantised, states_of(2))

    model = fused(quantised, HEADS)

    kinds = Counter(node.op_type for node in model.graph.node)
    of_mask = {"Cast": 2, "Not": 1, "Squeeze": 1}
    steps = {"DynamicQuantizeLinear": 2, "QAttention": 1, "Gelu": 1, "MatMulIntegerToFloat": 1}
    assert {**of_mask, **steps} == kinds
    context, activated, after = run(model, states_of(2))
    assert expected[0].tobytes() == context.tobytes()
    assert expected[1] == pytest.approx(activated, abs=1e-6)
    assert expected[2] == pytest.approx(after, abs=1e-4)


def test_with_fixed_ranges_a_text_is_read_as_it_is_alone(quantised: onnx.ModelProto) -> None:
    """What stands beside it may be far larger: with ranges found in each run it would set the step for both."""
    model = fused(quantised, HEADS)
    states, larger = states_of(2), states_of(2)
    larger[:, OF_TEXT == 1] *= 5
    apart = np.abs(run(model, states)[2] - run(model, larger)[2])[:, OF_TEXT == 0].max()

    model = with_fixed_ranges(model, ({"states": states_of(seed)} for seed in range(2, 40)))

    found, beside = run(model, states)[2], run(model, larger)[2]
    assert found[:, OF_TEXT == 0] == pytest.approx(beside[:, OF_TEXT == 0], abs=1e-3)
    assert apart > 0.1
    assert "DynamicQuantizeLinear" not in {node.op_type for node in model.graph.node}


def test_what_fixed_ranges_cost_is_the_size_of_a_step(quantised: onnx.ModelProto) -> None:
    """Ranges of many texts are a little wider than those of one, and cut off what is beyond all but one in 100."""
    model = fused(quantised, HEADS)
    expected = run(model, states_of(2))[2]

    found = run(with_fixed_ranges(model, ({"states": states_of(seed)} for seed in range(2, 40))), states_of(2))[2]

    assert 1.0 == pytest.approx(np.corrcoef(expected.ravel(), found.ravel())[0, 1], abs=1e-3)


def test_a_layer_that_is_given_nothing_keeps_a_range(quantised: onnx.ModelProto) -> None:
    """A network may have parts that start as nothing; their input is 0, and 0 has to stay 0."""
    model = with_fixed_ranges(fused(quantised, HEADS), [{"states": np.zeros((1, TOKENS, WIDTH), dtype=np.float32)}])

    assert all(np.isfinite(each).all() for each in run(model, states_of(2)))
