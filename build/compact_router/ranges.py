"""Fixes what the eight bits of a layer's input stand for, by what it is given for some texts.

Found anew in each run, the largest input of a text sets the step of all texts beside it, and what a text is read as
depends on its company. Fixed, texts can share a run, and nothing has to be searched for the largest.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

GraphInputs = Mapping[str, NDArray[Any]]

BEYOND = 1.0
"""Texts in a hundred whose largest input, and whose smallest, is cut off: steps are as much finer for all others."""

STEPS = 255


def with_fixed_ranges(model: onnx.ModelProto, shown: Iterable[GraphInputs]) -> onnx.ModelProto:
    """Replace each ``DynamicQuantizeLinear`` by a ``QuantizeLinear`` with the range that was seen.

    Args:
        model: A quantised graph, which is changed.
        shown: Its inputs for each of some texts.

    Returns:
        The graph.
    """
    graph = model.graph
    dynamic = [node for node in graph.node if node.op_type == "DynamicQuantizeLinear"]
    ranges = _ranges(model, sorted({node.input[0] for node in dynamic}), shown)
    for node in dynamic:
        values, (quantised, scale, zero_point) = node.input[0], node.output
        low, high = ranges[values]
        step = np.float32((high - low) / STEPS or 1.0)
        graph.initializer.append(numpy_helper.from_array(step, scale))
        graph.initializer.append(numpy_helper.from_array(np.uint8(np.rint(-low / step)), zero_point))
        place = [*graph.node].index(node)
        graph.node.remove(node)
        graph.node.insert(place, helper.make_node("QuantizeLinear", [values, scale, zero_point], [quantised]))
    return model


def _ranges(model: onnx.ModelProto, names: list[str], shown: Iterable[GraphInputs]) -> dict[str, tuple[float, float]]:
    """Find the lowest and the highest of some values; both ranges hold 0, which has to be one of the steps."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = onnxruntime.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    seen = [[(each.min(), each.max()) for each in session.run(names, dict(inputs))] for inputs in shown]
    low, high = np.array(seen).transpose(2, 1, 0)
    lowest = np.minimum(np.percentile(low, BEYOND, axis=1), 0.0)
    highest = np.maximum(np.percentile(high, 100.0 - BEYOND, axis=1), 0.0)
    return dict(zip(names, zip(lowest.tolist(), highest.tolist(), strict=True), strict=True))
