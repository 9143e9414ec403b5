"""The options of the gRPC server."""

from archrouter.config import ServerSettings
from archrouter.rpc.server import server_options


def test_settings_become_options_in_grpcs_own_units() -> None:
    """Bytes stay bytes and seconds become milliseconds."""
    settings = ServerSettings(
        max_receive_bytes=2048, max_streams_per_connection=7, max_connection_age_s=1.5, shutdown_grace_s=0.25
    )

    expected = {
        "grpc.max_receive_message_length": 2048,
        "grpc.max_concurrent_streams": 7,
        "grpc.max_connection_age_ms": 1500,
        "grpc.max_connection_age_grace_ms": 250,
        "grpc.so_reuseport": 1,
    }
    assert expected == dict(server_options(settings))
