"""Put steps of a quantised graph together for which ONNX Runtime has one kernel: attention, activations, products.

ONNX Runtime does so by itself where it finds its own patterns; the exporter's are others. Attention gives the same bits
as before; the activation differs by the rounding of one step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper
from onnx.utils import Extractor

MICROSOFT = "com.microsoft"


def fused(model: onnx.ModelProto, head_count: int) -> onnx.ModelProto:
    """Give a graph that computes the same in fewer steps.

    Args:
        model: Quantised by ``quantize_dynamic``, and changed. What is added to the products of its self-attention, the
            mask, is 0 where one token sees another.
        head_count: Of its self-attention.

    Returns:
        The graph without what nothing needs any more.
    """
    graph = _Graph(model.graph)
    for node in [*model.graph.node]:
        if node.op_type == "Erf":
            graph.replace_activation(node)
        elif node.op_type == "Softmax":
            graph.replace_attention(node, head_count)
        elif node.op_type == "MatMulInteger":
            graph.replace_product(node)
    if MICROSOFT not in {each.domain for each in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    inputs, outputs = ([each.name for each in of] for of in (model.graph.input, model.graph.output))
    return Extractor(model).extract_model(inputs, outputs)


@dataclass(frozen=True, slots=True)
class _Linear:
    """Names of what a quantised linear layer takes: its input, that one's scale and zero point, and what it holds."""

    input: tuple[str, str, str]
    weight: str
    bias: str
    scale: str
    zero_point: str


class _Graph:
    """A graph that is being changed; what it was at first is looked up."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._maker_of = {name: node for node in graph.node for name in node.output}
        self._user_of = {name: node for node in graph.node for name in node.input}
        self._constants = {each.name: each for each in graph.initializer}

    def replace_activation(self, erf: NodeProto) -> None:
        """Replace ``x * (0.5 * (1 + erf(x / sqrt(2))))``."""
        divided, last = self._back(erf, "Div"), self._on(erf, "Add", "Mul", "Mul")
        if divided is not None and last is not None and divided.input[0] in last.input:
            self._replace(last, helper.make_node("Gelu", divided.input[:1], last.output, domain=MICROSOFT))

    def replace_attention(self, softmax: NodeProto, head_count: int) -> None:
        """Replace self-attention from its quantised input on; leave any other as it is."""
        context, last = self._on(softmax, "MatMul"), self._on(softmax, "MatMul", "Transpose", "Reshape")
        masked = self._back(softmax, "Add")
        products = masked and self._back(masked, "Mul", "MatMul")
        if context is None or last is None or masked is None or products is None:
            return
        found = [self._linear(name) for name in (*products.input, context.input[1])]
        layers = [each for each in found if each is not None]
        if len(layers) != len(found) or len({each.input for each in layers}) != 1:
            return
        values, scale, zero_point = layers[0].input
        name = last.output[0]
        inputs = [
            values,
            self._joined(f"{name}_joined_weight", [each.weight for each in layers]),
            self._joined(f"{name}_joined_bias", [each.bias for each in layers]),
            scale,
            self._joined(f"{name}_joined_scale", [each.scale for each in layers]),
            self._seen(masked.input[1]),
            zero_point,
            self._joined(f"{name}_joined_zero_point", [each.zero_point for each in layers]),
        ]
        self._replace(last, helper.make_node("QAttention", inputs, [name], domain=MICROSOFT, num_heads=head_count))

    def replace_product(self, product: NodeProto) -> None:
        """Replace a product of integers, its scaling, and the bias where there is one."""
        scaled = self._on(product, "Cast", "Mul")
        scales = scaled and self._maker_of.get(scaled.input[1])
        if scaled is None or scales is None:
            return
        values, weight, zero_point, weight_zero_point = product.input
        inputs = [values, weight, *scales.input, zero_point, weight_zero_point]
        last, total = scaled, self._on(scaled, "Add")
        if total is not None and (bias := self._vector_of(total)) is not None:
            last, inputs = total, [*inputs, bias]
        self._replace(last, helper.make_node("MatMulIntegerToFloat", inputs, last.output, domain=MICROSOFT))

    def _vector_of(self, total: NodeProto) -> str | None:
        """Name the constant vector that a sum adds; None where it adds something else."""
        constants = (self._constants.get(name) for name in total.input)
        return next((each.name for each in constants if each is not None and len(each.dims) == 1), None)

    def _seen(self, mask: str) -> str:
        """Name the mask as QAttention takes it: int32 [1, tokens, tokens], 1 where one token sees another."""
        names = [f"{mask}_{step}" for step in ("hidden", "shown", "seen_in_heads", "axis", "seen")]
        hidden, shown, in_heads, axis, seen = names
        if axis not in self._constants:
            self._constants[axis] = numpy_helper.from_array(np.array([1]), axis)
            self._graph.initializer.append(self._constants[axis])
            maker = self._maker_of.get(mask)
            place = [*self._graph.node].index(maker) + 1 if maker is not None else 0
            steps = [
                helper.make_node("Cast", [mask], [hidden], to=onnx.TensorProto.BOOL),
                helper.make_node("Not", [hidden], [shown]),
                helper.make_node("Cast", [shown], [in_heads], to=onnx.TensorProto.INT32),
                helper.make_node("Squeeze", [in_heads, axis], [seen]),
            ]
            for step in reversed(steps):
                self._graph.node.insert(place, step)
        return seen

    def _linear(self, name: str) -> _Linear | None:
        """Read the layer behind queries, keys or values that are split into heads."""
        heads = self._maker_of[name]
        total = self._back(heads, "Reshape", "Add")
        scaled = total and self._back(total, "Mul")
        product = scaled and self._back(scaled, "Cast", "MatMulInteger")
        scales = scaled and self._maker_of.get(scaled.input[1])
        if not (heads.op_type == "Transpose" and total and product and scales and scales.op_type == "Mul"):
            return None
        values, weight, zero_point, weight_zero_point = product.input
        return _Linear(
            (values, scales.input[0], zero_point), weight, total.input[1], scales.input[1], weight_zero_point
        )

    def _back(self, node: NodeProto, *kinds: str) -> NodeProto | None:
        """Follow first inputs back over nodes of these kinds; None where another one stands there."""
        return _follow(node, kinds, lambda each: self._maker_of.get(each.input[0]))

    def _on(self, node: NodeProto, *kinds: str) -> NodeProto | None:
        """Follow outputs on over nodes of these kinds; None where another one stands there."""
        return _follow(node, kinds, lambda each: self._user_of.get(each.output[0]))

    def _joined(self, name: str, parts: list[str]) -> str:
        """Put constants beside each other, along their last axis, and give the name of the result."""
        arrays = [numpy_helper.to_array(self._constants[part]) for part in parts]
        self._graph.initializer.append(numpy_helper.from_array(np.concatenate(arrays, axis=-1), name))
        return name

    def _replace(self, node: NodeProto, by: NodeProto) -> None:
        place = [*self._graph.node].index(node)
        self._graph.node.remove(node)
        self._graph.node.insert(place, by)


def _follow(node: NodeProto, kinds: Sequence[str], step: Callable[[NodeProto], NodeProto | None]) -> NodeProto | None:
    """Take a step for each of some kinds; None where the node there is of another, or there is none."""
    for kind in kinds:
        found = step(node)
        if found is None or found.op_type != kind:
            return None
        node = found
    return node
