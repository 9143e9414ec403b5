"""From the Hugging Face directory to the one ONNX file that reference_lm serves."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

FloatArray = npt.NDArray[np.float32]

BFLOAT16_SHIFT = 16  # bfloat16 is the upper half of a float32


def export(checkpoint: Path, output: Path) -> None:
    """Export a checkpoint with the ONNX Runtime GenAI model builder, computing in float32.

    The weights of the checkpoint are bfloat16; they are stored so, and cast back when the model is loaded. What is
    computed is exactly the float32 export, from a file of half the size.

    Args:
        checkpoint: A Hugging Face directory.
        output: The folder to write ``model.onnx`` and ``genai_config.json`` to.

    Raises:
        subprocess.CalledProcessError: The builder failed; its output has been printed.
    """
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        built = Path(scratch) / "built"
        arguments = ["-i", checkpoint, "-o", built, "-p", "fp32", "-e", "cpu", "-c", Path(scratch) / "cache"]
        subprocess.run(
            [sys.executable, "-m", "onnxruntime_genai.models.builder", *map(str, arguments)],
            check=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
        model = onnx.load(built / "model.onnx")
        store_as_bfloat16(model)
        onnx.save(model, output / "model.onnx")
        (output / "genai_config.json").write_bytes((built / "genai_config.json").read_bytes())


def store_as_bfloat16(model: onnx.ModelProto) -> None:
    """Store every float32 initializer that bfloat16 holds exactly as bfloat16, in place, with a cast behind it.

    ONNX Runtime folds the casts while it loads the model.

    Args:
        model: With its data loaded.
    """
    casts = []
    for initializer in model.graph.initializer:
        if initializer.data_type != TensorProto.FLOAT:
            continue
        values = np.ascontiguousarray(numpy_helper.to_array(initializer), np.float32)
        if not is_bfloat16(values):
            continue
        name, stored_name = initializer.name, f"{initializer.name}.bfloat16"
        upper_halves = (values.view(np.uint32) >> BFLOAT16_SHIFT).astype("<u2").tobytes()
        dims = list(initializer.dims)
        stored = helper.make_tensor(stored_name, TensorProto.BFLOAT16, dims, upper_halves, raw=True)
        initializer.CopyFrom(stored)
        casts.append(helper.make_node("Cast", [stored_name], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def is_bfloat16(values: FloatArray) -> bool:
    """Say whether every value has a zero lower half, so that bfloat16 holds it exactly."""
    lower_half = np.uint32((1 << BFLOAT16_SHIFT) - 1)
    return not (values.view(np.uint32) & lower_half).any()
