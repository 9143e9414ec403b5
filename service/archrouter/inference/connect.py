"""Makes the model of an endpoint: the compact router, or the language model where there is a bundle."""

from collections.abc import Callable

from archrouter.inference.compact import CompactBackend
from archrouter.inference.endpoint import EndpointSpec
from archrouter.inference.language_model import LanguageModelBackend
from archrouter.inference.model import Model
from archrouter.inference.triton_client import TritonClient


def connect(spec: EndpointSpec, open_client: Callable[[str], TritonClient]) -> Model:
    """Connect to an endpoint by a client of its address, its model cold: nothing is sent before the first call."""
    client = open_client(spec.address)
    if spec.bundle is None:
        return CompactBackend(client, spec.model)
    return LanguageModelBackend(client, spec.model, spec.bundle)
