"""A network between the service and Triton that can be made to fail: a TCP relay on the loopback interface."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_CHUNK_BYTES = 65536


class FaultyNetwork:
    """Relays each connection to one address.

    Attributes:
        address: HOST:PORT to connect to in place of the target.
        delay_s: Time that each piece of data takes on its way, in seconds.
    """

    def __init__(self, target: str) -> None:
        """Relay to HOST:PORT."""
        self.address = ""
        self.delay_s = 0.0
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._passing = asyncio.Event()
        self._passing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._dead: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def lose_packets(self) -> None:
        """Deliver nothing from now on, and tell neither side: what is sent is lost, also on connections made later."""
        self._passing.clear()

    def mend(self) -> None:
        """Relay again; the connections that were open meanwhile stay dead, as those through a lost gateway do."""
        self._dead |= self._writers
        self._passing.set()

    def reset(self) -> None:
        """End every connection with an RST."""
        for writer in self._writers:
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect one client with the target, until either side is done."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
            self._writers |= {writer, far_writer}
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._copy(reader, far_writer))
                    group.create_task(self._copy(far_reader, writer))
            finally:
                for one in (writer, far_writer):
                    self._writers.discard(one)
                    one.close()
        self._tasks.discard(task)

    async def close(self) -> None:
        """End what is being relayed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if self._passing.is_set() and writer not in self._dead:
                    writer.write(data)
                    await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()


@asynccontextmanager
async def faulty_network(target: str) -> AsyncIterator[FaultyNetwork]:
    """Relay to HOST:PORT from a free loopback port."""
    network = FaultyNetwork(target)
    server = await asyncio.start_server(network.relay, "127.0.0.1", 0)
    network.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield network
    finally:
        server.close()
        await network.close()
