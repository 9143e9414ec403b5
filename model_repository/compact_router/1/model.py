"""Triton's side of compact_router: tensors in, tensors out."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils
from compact_model.digest import file_digests, model_version
from compact_model.inputs import CANDIDATES, CONVERSATION, InvalidInputError
from compact_model.router import CompactRouter, Scores


class TritonPythonModel:
    """One instance: its own network and cache, one call at a time."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the network, after checking that config.pbtxt describes the files that are there.

        Args:
            args: Triton's description of the model: its configuration as JSON, repository folder and version.

        Raises:
            ValueError: When the files are not those that ``model_version`` names, or a parameter cannot be used.
        """
        config = json.loads(args["model_config"])
        parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
        directory = Path(args["model_repository"]) / args["model_version"]
        found = model_version(file_digests(directory))
        if found != parameters["model_version"]:
            msg = (
                f"parameter model_version is {parameters['model_version']!r} but the files are {found}; "
                "put the folder back as it was, or stamp it again (see README.md)"
            )
            raise ValueError(msg)
        self._router = CompactRouter.load(
            directory,
            intra_op_thread_count=int(parameters["intra_op_thread_count"]),
            candidate_cache_capacity=int(parameters["candidate_cache_capacity"]),
        )

    def execute(self, requests: "list[pb_utils.InferenceRequest]") -> "list[pb_utils.InferenceResponse]":
        """Answer each call in turn; one that cannot be read, or whose caller has gone, does not touch the others.

        Args:
            requests: The calls Triton hands over together.

        Returns:
            One response per call, in order.
        """
        return [self._respond(request) for request in requests]

    def _respond(self, request: "pb_utils.InferenceRequest") -> "pb_utils.InferenceResponse":
        if request.is_cancelled():  # Triton hands over what waited here, also when nobody waits for the answer any more
            error = pb_utils.TritonError("the caller has gone", pb_utils.TritonError.CANCELLED)
            return pb_utils.InferenceResponse(error=error)
        conversation = pb_utils.get_input_tensor_by_name(request, CONVERSATION).as_numpy()
        candidates = pb_utils.get_input_tensor_by_name(request, CANDIDATES).as_numpy()
        try:
            scores = self._router.score(conversation[0], candidates.tolist())
        except InvalidInputError as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG))
        return pb_utils.InferenceResponse(_tensors(scores))


def _tensors(scores: Scores) -> "list[pb_utils.Tensor]":
    counts = {
        "prompt_token_count": scores.prompt_token_count,
        "dropped_message_count": scores.dropped_message_count,
        "dropped_token_count": scores.dropped_token_count,
    }
    return [
        pb_utils.Tensor("scores", scores.logits),
        *(pb_utils.Tensor(name, np.array([count], dtype=np.int32)) for name, count in counts.items()),
    ]
