"""The options of the gRPC server."""

from archrouter.config import ServerSettings
from archrouter.rpc.server import server_options


def test_settings_become_options_in_grpcs_own_units() -> None:
    """Bytes stay bytes and seconds become milliseconds."""
    settings = ServerSettings(
        max_receive_bytes=2048,
        max_streams_per_connection=7,
        max_connection_age_s=1.5,
        shutdown_grace_s=0.25,
        keepalive_s=2.5,
    )

    expected = {
        "grpc.max_receive_message_length": 8192,
        "grpc.max_concurrent_streams": 7,
        "grpc.max_connection_age_ms": 1500,
        "grpc.max_connection_age_grace_ms": 250,
        "grpc.keepalive_permit_without_calls": 1,
        "grpc.http2.min_ping_interval_without_data_ms": 5000,
        "grpc.keepalive_time_ms": 2500,
        "grpc.keepalive_timeout_ms": 20000,
        "grpc.so_reuseport": 1,
    }
    assert expected == dict(server_options(settings))
