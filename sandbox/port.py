"""Ports of servers: free when they are chosen, and the same after a restart."""

from __future__ import annotations

import random
import socket
from pathlib import Path

from schemas.errors import DependencyAway

LOOPBACK = "127.0.0.1"
LOWEST = 15_000
#: first port that the kernel hands to outgoing connections, where it does not say
EPHEMERAL = 32_768
TRIES = 200
RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        # as servers do: connections of the one before that linger in TIME_WAIT are no obstacle
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """Return a free port below those of outgoing connections.

    A port from the kernel (port 0) lies among those of outgoing connections. A client that goes on
    connecting to such a port while its server is down is in the end given that very port for its own
    end: it then talks to itself, and the server can never come back.

    Raises:
        DependencyAway: none was found.
    """
    draw = random.SystemRandom()
    for _ in range(TRIES):
        port = draw.randrange(LOWEST, _ephemeral_start())
        if is_free(port):
            return port
    raise DependencyAway(f"no free port between {LOWEST} and {_ephemeral_start()} on {LOOPBACK}")


def _ephemeral_start() -> int:
    try:
        first = int(RANGE_FILE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return EPHEMERAL
    return first if first > LOWEST + TRIES else EPHEMERAL


class Ports:
    """The ports of one server, kept in a file."""

    def __init__(self, path: Path, count: int) -> None:
        """Take the file, and how many ports the server listens on."""
        self._path, self._count = path, count

    def known(self) -> list[int]:
        """Return the ports that the server had before; none if it never ran."""
        try:
            ports = [int(word) for word in self._path.read_text().split()]
        except (FileNotFoundError, ValueError):
            return []
        return ports if len(ports) == self._count else []

    def choose(self) -> list[int]:
        """Return the ports to start with: those of before, else new ones.

        Raises:
            DependencyAway: a port of before is taken by another program.
        """
        ports = self.known()
        for port in ports:
            if not is_free(port):
                raise DependencyAway(
                    f"port {port} is taken by another program: stop that, or delete {self._path} "
                    "for another port"
                )
        while len(ports) < self._count:
            port = free_port()
            if port not in ports:
                ports.append(port)
        return ports

    @staticmethod
    def free(ports: list[int]) -> bool:
        """Whether a server could listen on all of them now."""
        return all(map(is_free, ports))

    def keep(self, ports: list[int]) -> None:
        """Remember them."""
        self._path.write_text(" ".join(map(str, ports)) + "\n")

    def forget(self) -> None:
        """Choose new ones at the next start."""
        self._path.unlink(missing_ok=True)
