"""Makes the model of an endpoint: the compact router, or the language model where there is a bundle."""

from collections.abc import Callable
from contextlib import nullcontext

from archrouter.application.ports import StartStep
from archrouter.inference.compact import CompactBackend
from archrouter.inference.endpoint import EndpointSpec
from archrouter.inference.language_model import LanguageModelBackend
from archrouter.inference.model import Model
from archrouter.inference.triton_client import Counter, StartSpan, TritonClient


def connect(
    spec: EndpointSpec,
    *,
    max_concurrent_requests: int,
    count_request: Callable[[str], Counter] | None = None,
    start_span: StartSpan | None = None,
    start_step: StartStep = nullcontext,
) -> Model:
    """Connect to an endpoint, its model cold: nothing is sent before the first call.

    See `TritonClient`; `start_step` marks the step ``tokenize`` of a language model.
    """
    client = TritonClient(
        spec.address,
        max_concurrent_requests=max_concurrent_requests,
        count_request=count_request,
        start_span=start_span,
    )
    if spec.bundle is None:
        return CompactBackend(client, spec.model)
    return LanguageModelBackend(client, spec.model, spec.bundle, start_step=start_step)
