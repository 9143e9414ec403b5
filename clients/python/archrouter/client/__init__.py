"""Thin clients: deadlines, retries, TLS, a bearer token and typed errors around the generated stub.

`RoutingClient` is for asyncio, `BlockingRoutingClient` for threads. They need nothing but the base dependencies of the
package. Requests and responses are the messages of `archrouter.v1`.
"""

from archrouter.client.channels import open_channel
from archrouter.client.conversation import Conversation, Limits, parse_conversation
from archrouter.client.errors import RoutingError
from archrouter.client.options import ClientOptions, RetryOptions, TlsOptions
from archrouter.client.routing import BlockingRoutingClient, RoutingClient, Selection

__all__ = [
    "BlockingRoutingClient",
    "ClientOptions",
    "Conversation",
    "Limits",
    "RetryOptions",
    "RoutingClient",
    "RoutingError",
    "Selection",
    "TlsOptions",
    "open_channel",
    "parse_conversation",
]
