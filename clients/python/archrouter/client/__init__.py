"""A thin asynchronous client: deadlines, retries, TLS, a bearer token and typed errors around the generated stub.

It needs nothing but the base dependencies of the package. Requests and responses are the messages of `archrouter.v1`.
"""

from archrouter.client.errors import RoutingError
from archrouter.client.options import ClientOptions, RetryOptions, TlsOptions
from archrouter.client.routing import RoutingClient, open_channel

__all__ = ["ClientOptions", "RetryOptions", "RoutingClient", "RoutingError", "TlsOptions", "open_channel"]
