"""Triton's side of reference_lm: tensors in, tensors out."""

import json
import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path

import triton_python_backend_utils as pb_utils
from lm_backend.errors import CancelledCallError, ReferenceLmError, message_to_client
from lm_backend.integrity import check_bundle
from lm_backend.requests import read_request
from lm_backend.responses import build_outputs
from lm_backend.runtimes import load_runtime
from lm_backend.settings import read_settings


class TritonPythonModel:
    """One instance: a model in the runtime of its choice, one call at a time."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the model, so that Triton reports ready only when the first call will be fast.

        Args:
            args: Triton's description of the model: its configuration as JSON, repository folder and version.
        """
        config = json.loads(args["model_config"])
        parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
        version_directory = Path(args["model_repository"]) / args["model_version"]
        self._settings = read_settings(parameters, version_directory)
        check_bundle(self._settings.model_directory, self._settings.model_version)
        self._runtime = load_runtime(self._settings)
        self._request_numbers = count(1)

    def execute(self, requests: "list[pb_utils.InferenceRequest]") -> "list[pb_utils.InferenceResponse]":
        """Answer each call in turn; one that fails does not touch the others.

        Args:
            requests: The calls Triton hands over together, each of one prompt.

        Returns:
            One response per call, in order.
        """
        arrival_ns = time.monotonic_ns()
        return [self._respond(request, arrival_ns) for request in requests]

    def _respond(self, request: "pb_utils.InferenceRequest", arrival_ns: int) -> "pb_utils.InferenceResponse":
        """Answer one call, with tensors or with the error a client of the C++ backend would read."""
        request_number = next(self._request_numbers)
        try:
            call = read_request(
                {tensor.name(): tensor.as_numpy() for tensor in request.inputs()},
                frozenset(request.requested_output_names()),
                exclude_input_in_output=self._settings.exclude_input_in_output,
                vocabulary_size=self._runtime.vocabulary_size,
            )
            generation = self._runtime.run(call, request.is_cancelled)
            outputs = build_outputs(
                call,
                generation,
                arrival_ns=arrival_ns,
                normalize_log_probs=self._settings.normalize_log_probs,
            )
        except CancelledCallError as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error), pb_utils.TritonError.CANCELLED))
        except ReferenceLmError as error:
            text = message_to_client(error, request_number)
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(text, pb_utils.TritonError.INTERNAL))
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, value) for name, value in outputs.items()])
