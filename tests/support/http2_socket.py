"""A client of HTTP/2 that does what no library would: frames by hand on a socket (RFC 9113)."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7, 0x9
ACK, END_STREAM, END_HEADERS = 0x1, 0x1, 0x4
INITIAL_WINDOW_SIZE = 0x4
CANCEL = 0x8
SELECT_ROUTE = "/archrouter.v1.RoutingService/SelectRoute"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Write one frame."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def settings() -> bytes:
    """Write a SETTINGS frame without a value."""
    return frame(SETTINGS, 0, 0)


def window(size: int) -> bytes:
    """Write a SETTINGS frame that lets the peer send so many bytes of each stream."""
    return frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, size))


def call_headers(stream: int, path: str = SELECT_ROUTE) -> bytes:
    """Write the HEADERS of a gRPC call: literal, never indexed, without Huffman code (RFC 7541, section 6.2.2)."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "test",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    block = b"".join(
        b"\x00" + bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode()
        for name, value in fields.items()
    )
    return frame(HEADERS, END_HEADERS, stream, block)


def message(stream: int, encoded: bytes) -> bytes:
    """Write the DATA of a call's only message."""
    return frame(DATA, END_STREAM, stream, b"\x00" + struct.pack(">I", len(encoded)) + encoded)


@contextmanager
def connected(port: int, timeout_s: float = 5.0) -> Iterator[socket.socket]:
    """Give a connection on which nothing has been said."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as one:
        yield one


def frames(connection: socket.socket) -> Iterator[tuple[int, int, int, bytes]]:
    """Read frames, kind, flags, stream and payload, until the peer closes or says nothing for the socket's timeout."""
    buffer = b""
    while True:
        while len(buffer) >= 9:
            size = int.from_bytes(buffer[:3], "big")
            if len(buffer) < 9 + size:
                break
            kind, flags, stream = struct.unpack(">BBI", buffer[3:9])
            yield kind, flags, stream, buffer[9 : 9 + size]
            buffer = buffer[9 + size :]
        try:
            received = connection.recv(65536)
        except (TimeoutError, ConnectionResetError):
            return
        if not received:
            return
        buffer += received
