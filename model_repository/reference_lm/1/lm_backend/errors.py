"""Why a call is not answered, in the words the C++ TensorRT-LLM backend uses for the same cause.

::

    ReferenceLmError
    ├── SettingsError          the model's parameters: it does not load
    ├── RequestError           the call's tensors: INTERNAL
    ├── ExecutorError          the call is well formed but cannot be run: INTERNAL
    ├── ResponseError          the outputs the call asks for: INTERNAL
    └── CancelledCallError     the caller has gone: CANCELLED

Texts marked [cpp] are those of TensorRT-LLM (triton_backend/inflight_batcher_llm/src and cpp/tensorrt_llm, 1.x line),
so that a client that reads them behaves the same against both models.
"""


class ReferenceLmError(Exception):
    """Root of this model's errors; the text is what the client reads."""


class SettingsError(ReferenceLmError):
    """A parameter of config.pbtxt has a value the model cannot use."""


class RequestError(ReferenceLmError):
    """A tensor of the call is missing, has a wrong shape or value, or asks for what this model does not do."""


class ExecutorError(ReferenceLmError):
    """A well-formed call that cannot be run."""


class ResponseError(ReferenceLmError):
    """The outputs that the call asks for do not fit."""


class CancelledCallError(ReferenceLmError):
    """The caller cancelled, or its deadline passed, before the answer was complete."""


def prompt_too_long(prompt_tokens: int, max_input_tokens: int) -> ExecutorError:
    """Return the error for a prompt that leaves no room for an answer [cpp]."""
    return ExecutorError(
        f"Prompt length ({prompt_tokens}) exceeds maximum input length ({max_input_tokens}). Set log level to info "
        "and check TRTGptModel logs for how maximum input length is set"
    )


def generation_logits_off() -> ExecutorError:
    """Return the error for asking logits of a model that does not keep them [cpp]."""
    return ExecutorError("To return generation logits, gather_generation_logits must be enabled in ExecutorConfig")


def required_output_missing(name: str) -> ResponseError:
    """Return the error for a list of outputs without one of the two that must be in it [cpp]."""
    return ResponseError(f"{name} tensor must be present in list of output tensors")


def message_to_client(error: ReferenceLmError, request_number: int) -> str:
    """Return the text the client reads, with the prefix that the C++ backend puts before it.

    Args:
        error: Why the call is not answered.
        request_number: The executor's running number of the call.

    Returns:
        The text, with the executor's or the response's prefix [cpp] where that part refused.
    """
    if isinstance(error, ExecutorError):
        return (
            f"Executor failed process requestId {request_number} due to the following error: "
            f"Encountered an error when fetching new request: {error}"
        )
    if isinstance(error, ResponseError):
        return f"Error encountered while populating response: {error}"
    return str(error)
