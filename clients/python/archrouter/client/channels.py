"""Channels to the service, for event loops and for threads."""

import grpc
import grpc.aio

from archrouter.client.options import ClientOptions

_RECONNECT = (("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1000))
"""How often a replica that is away is looked for, in milliseconds: gRPC's own waits grow to two minutes, in which one
that is back gets no call."""


def open_channel(options: ClientOptions, *arguments: tuple[str, int]) -> grpc.aio.Channel:
    """Open a channel, for services that have no client here, e.g. the standard health service.

    Args:
        options: Target and security; deadline and token belong to each call.
        arguments: Further ones of gRPC's, e.g. ``("grpc.keepalive_time_ms", 10_000)``.

    Returns:
        A channel that connects with its first call and that the caller closes.
    """
    channel_options = (("grpc.service_config", options.service_config), *_RECONNECT, *arguments)
    credentials = _credentials(options)
    if credentials is None:
        return grpc.aio.insecure_channel(options.target, options=channel_options)
    return grpc.aio.secure_channel(options.target, credentials, options=channel_options)


def open_blocking_channel(options: ClientOptions) -> grpc.Channel:
    """Open a channel for threads; see `open_channel`."""
    channel_options = (("grpc.service_config", options.service_config), *_RECONNECT)
    credentials = _credentials(options)
    if credentials is None:
        return grpc.insecure_channel(options.target, options=channel_options)
    return grpc.secure_channel(options.target, credentials, options=channel_options)


def _credentials(options: ClientOptions) -> grpc.ChannelCredentials | None:
    if options.tls is None:
        return None
    return grpc.ssl_channel_credentials(
        options.tls.root_certificates, options.tls.private_key, options.tls.certificate_chain
    )
