"""Triton's side of compact_router: tensors in, tensors out."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils
from compact_model.digest import file_digests, model_version
from compact_model.inputs import CANDIDATES, CONVERSATION, InvalidInputError
from compact_model.router import CompactRouter, Scores
from compact_model.workers import Call, Workers


class TritonPythonModel:
    """One instance: a network, a cache and threads that answer the calls handed to it."""

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
        with ThreadPoolExecutor() as both:
            digests = both.submit(file_digests, directory)
            loading = both.submit(
                CompactRouter.load,
                directory,
                intra_op_thread_count=int(parameters["intra_op_thread_count"]),
                candidate_cache_capacity=int(parameters["candidate_cache_capacity"]),
            )
            found = model_version(digests.result())
            if found != parameters["model_version"]:
                msg = (
                    f"parameter model_version is {parameters['model_version']!r} but the files are {found}; "
                    "put the folder back as it was, or stamp it again (see README.md)"
                )
                raise ValueError(msg)
        router = loading.result()
        self._workers = Workers(router, int(parameters["worker_count"]))

    def execute(self, requests: "list[pb_utils.InferenceRequest]") -> None:
        """Queue calls; they are answered by the threads, and one that cannot be read does not touch the others.

        Args:
            requests: The calls Triton hands over together.
        """
        for request in requests:
            conversation = pb_utils.get_input_tensor_by_name(request, CONVERSATION).as_numpy()
            candidates = pb_utils.get_input_tensor_by_name(request, CANDIDATES).as_numpy()
            self._workers.submit(Call(conversation[0], candidates.tolist(), _Request(request)))

    def finalize(self) -> None:
        """Answer what waits, and end the threads."""
        self._workers.close()


class _Request:
    """Who waits for an answer, as Triton knows it."""

    def __init__(self, request: "pb_utils.InferenceRequest") -> None:
        self._request = request
        self._sender = request.get_response_sender()

    def is_gone(self) -> bool:
        return bool(self._request.is_cancelled())

    def answer(self, scores: Scores) -> None:
        self._send(pb_utils.InferenceResponse(_tensors(scores)))

    def fail(self, error: Exception) -> None:
        code = pb_utils.TritonError.INTERNAL
        if isinstance(error, InvalidInputError):
            code = pb_utils.TritonError.INVALID_ARG
        elif isinstance(error, TimeoutError):
            code = pb_utils.TritonError.CANCELLED
        self._send(pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error), code)))

    def _send(self, response: "pb_utils.InferenceResponse") -> None:
        try:
            self._sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        except Exception as error:  # noqa: BLE001 - a caller that cannot be reached must not end the thread
            pb_utils.Logger.log_warn(f"a response could not be sent: {error}")


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
