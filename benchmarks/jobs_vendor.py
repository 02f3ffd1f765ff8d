"""A vendor that answers at once: polygon's bars of half an hour, the same for every symbol.

The emulator works its answers out; what is measured here is the worker, so this one only writes bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys

import msgspec
from typing_extensions import override

BARS = 30
MINUTE_MS = 60_000


def body(symbol: str, start_ms: int) -> bytes:
    """Return one answer of polygon's aggregates."""
    rows = [
        {
            "v": 1_000 + n,
            "vw": 100.25,
            "o": 100.0,
            "c": 100.5,
            "h": 101.0,
            "l": 99.5,
            "t": start_ms + n * MINUTE_MS,
            "n": 10,
        }
        for n in range(BARS)
    ]
    return msgspec.json.encode(
        {
            "ticker": symbol,
            "queryCount": BARS,
            "resultsCount": BARS,
            "adjusted": False,
            "results": rows,
            "status": "OK",
            "request_id": "0" * 32,
            "count": BARS,
        }
    )


class Vendor(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, GET alone."""

    def __init__(self) -> None:
        """Start with nothing read."""
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        """Answer every whole request."""
        self._buffer += data
        assert self._transport is not None
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            line, self._buffer = self._buffer[:end].split(b" ", 2)[1], self._buffer[end + 4 :]
            # /v2/aggs/ticker/SYMBOL/range/1/minute/FIRST/LAST
            parts = line.decode().partition("?")[0].split("/")
            answer = body(parts[4], int(parts[8]))
            head = (
                f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n"
            )
            self._transport.write(head.encode() + answer)


async def main() -> None:
    """Listen until SIGTERM; the first line of stdout is the URL."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = await loop.create_server(Vendor, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}", flush=True)
    async with server:
        await stop.wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
    sys.exit(0)
