"""Stands for the C++ backend ``tensorrtllm`` in a real Triton: takes what Triton's core lets through, computes nothing.

Triton loads a backend written in Python from the file ``model.py`` in the folder of the backend's name. Every output
that a request names is answered with the type and rank of the model config; the logits prefer the prompt's last token.
"""

import json
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

VOCAB_SIZE = 1024


class TritonPythonModel:
    """Answers every request on its own, as the executor does."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the model's outputs from its config."""
        config = json.loads(args["model_config"])
        self._dtypes = {one["name"]: pb_utils.triton_string_to_numpy(one["data_type"]) for one in config["output"]}
        self._ranks = {one["name"]: 1 + len(one["dims"]) for one in config["output"]}

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer with one generated token for each request."""
        return [pb_utils.InferenceResponse(output_tensors=self._outputs(request)) for request in requests]

    def _outputs(self, request: Any) -> list[Any]:  # noqa: ANN401  # the backend's own type
        token = int(pb_utils.get_input_tensor_by_name(request, "input_ids").as_numpy().ravel()[-1])
        outputs = []
        for name in request.requested_output_names():
            shape = [1] * self._ranks[name]
            value = np.ones(shape, self._dtypes[name])
            if name == "generation_logits":
                value = np.zeros([*shape[:-1], VOCAB_SIZE], np.float32)
                value[..., token] = 1.0
            outputs.append(pb_utils.Tensor(name, value))
        return outputs
