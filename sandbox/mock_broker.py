"""A broker without Java: librdkafka's mock cluster, through ctypes, from the library in confluent_kafka.

It speaks the Kafka protocol to any client: metadata, idempotent produce, fetch, groups and their commits.
What it is not: it keeps nothing on disk, and of each partition the last 5 MB or 100,000 batches, dropping
what is older without a word to a consumer that has not read it. It knows no admin requests but metadata
(no create, delete or describe configs), no retention by time, no compaction, no LogAppendTime, no TLS.
Groups: one member; with two, a rebalance lasts as long as the session. tests/contract/test_broker.py
holds it to what is used of it.

    python -m sandbox.mock_broker --port-file FILE --topics md.trades.v1:12,md.dlq.v1:12
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import os
import re
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from schemas.errors import CommandError, DependencyAway, TapeflowError

#: a group waits so long for its first members; the mock's own 3 s delay the first record by as much
JOIN_DELAY_MS = 200
#: hard-coded in the mock: what a partition keeps
KEEPS_BYTES = 5_242_880
#: how often a child looks whether its parent is still there
PARENT_POLL_S = 0.2
TOPIC = re.compile(r"([A-Za-z0-9._-]{1,249}):([1-9][0-9]{0,3})")
#: what is loaded into this process (Linux)
MAPS = Path("/proc/self/maps")

_PRODUCER = 0
_CONF_OK = 0
_pointer, _text, _int = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
#: function -> what it returns, what it takes; without these, pointers are cut to 32 bits
_SIGNATURES: Mapping[str, tuple[type | None, Sequence[type]]] = {
    "rd_kafka_conf_new": (_pointer, ()),
    "rd_kafka_conf_set": (_int, (_pointer, _text, _text, _text, ctypes.c_size_t)),
    "rd_kafka_new": (_pointer, (_int, _pointer, _text, ctypes.c_size_t)),
    "rd_kafka_destroy": (None, (_pointer,)),
    "rd_kafka_mock_cluster_new": (_pointer, (_pointer, _int)),
    "rd_kafka_mock_cluster_destroy": (None, (_pointer,)),
    "rd_kafka_mock_cluster_bootstraps": (_text, (_pointer,)),
    "rd_kafka_mock_topic_create": (_int, (_pointer, _text, _int, _int)),
    "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, (_pointer, ctypes.c_int32)),
}


class MockBroker:
    """One broker on a port of 127.0.0.1 that the system chose; its data dies with this process.

    Use it as a context manager, or `close` it. Its threads are librdkafka's: no event loop is needed.
    """

    def __init__(
        self, topics: Mapping[str, int] | None = None, *, join_delay_ms: int = JOIN_DELAY_MS
    ) -> None:
        """Start listening.

        Args:
            topics: name -> partitions.
            join_delay_ms: how long a new group waits for further members, milliseconds.

        Raises:
            DependencyAway: confluent-kafka is not installed.
            CommandError: the library cannot do it.
        """
        lib = self._lib = _library()
        conf = lib.rd_kafka_conf_new()
        said = ctypes.create_string_buffer(512)
        # it would warn that the client that carries the cluster has no servers
        if lib.rd_kafka_conf_set(conf, b"log_level", b"0", said, len(said)) != _CONF_OK:
            raise CommandError(f"the embedded broker did not start: {said.value.decode()}")
        self._client: int | None = lib.rd_kafka_new(_PRODUCER, conf, said, len(said))
        if not self._client:
            raise CommandError(f"the embedded broker did not start: {said.value.decode()}")
        self._cluster: int | None = lib.rd_kafka_mock_cluster_new(self._client, 1)
        if not self._cluster:
            raise CommandError("the embedded broker did not start: it found no port to listen on")
        lib.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, join_delay_ms)
        for name, partitions in (topics or {}).items():
            self.create_topic(name, partitions)
        self.bootstrap: str = lib.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        """`host:port`."""

    def create_topic(self, name: str, partitions: int) -> None:
        """Create a topic: clients cannot.

        Raises:
            CommandError: it exists, or the numbers make no sense.
        """
        assert self._cluster is not None, "used before it is closed"
        if partitions < 1:
            raise CommandError(f"topic {name} needs 1 partition or more, not {partitions}")
        if code := self._lib.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1):
            raise CommandError(f"the embedded broker refused topic {name}: Kafka error {code}")

    def close(self) -> None:
        """Stop listening and forget everything; doing it twice does no harm."""
        if self._cluster is not None:
            self._lib.rd_kafka_mock_cluster_destroy(self._cluster)
            self._lib.rd_kafka_destroy(self._client)
            self._cluster = self._client = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


def _library() -> ctypes.CDLL:
    """Return the librdkafka that confluent_kafka has loaded, with its signatures set."""
    try:
        package = importlib.import_module("confluent_kafka")
    except ImportError:
        raise DependencyAway(
            "the embedded broker is part of a package that is missing: pip install confluent-kafka"
        ) from None
    lib = ctypes.CDLL(str(_library_file(Path(str(package.__file__)).parent)))
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def _library_file(package: Path) -> Path:
    # the file that is loaded already; a second copy of it would do too, but costs its memory
    if MAPS.exists():
        loaded = {
            line.split(maxsplit=5)[-1] for line in MAPS.read_text().splitlines() if "librdkafka" in line
        }
        if loaded:
            return Path(min(loaded))
    for folder in (package / ".dylibs", package.parent / "confluent_kafka.libs"):
        for file in sorted(folder.glob("librdkafka*")):
            return file
    raise CommandError(f"there is no librdkafka beside {package}: install confluent-kafka from a wheel")


def topics_of(text: str) -> dict[str, int]:
    """Return name -> partitions of ``NAME:PARTITIONS,...``.

    Raises:
        ValueError: it is not written like this.
    """
    topics = {}
    for item in text.split(","):
        written = TOPIC.fullmatch(item)
        if written is None:
            raise ValueError(f"topics are written NAME:PARTITIONS, by commas; not {item!r}")
        topics[written[1]] = int(written[2])
    return topics


def main(arguments: Sequence[str] | None = None) -> None:
    """Hold a broker until SIGTERM or SIGINT, or until the parent has gone."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.mock_broker", description=main.__doc__)
    parser.add_argument("--port-file", type=Path, required=True, help="gets host:port when it listens")
    parser.add_argument("--topics", type=topics_of, required=True, metavar="NAME:PARTITIONS,...")
    parser.add_argument("--join-delay-ms", type=int, default=JOIN_DELAY_MS)
    parser.add_argument("--with-parent", action="store_true", help="end when the parent process has ended")
    given = parser.parse_args(arguments)
    parent = os.getppid()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with MockBroker(given.topics, join_delay_ms=given.join_delay_ms) as broker:
        _write_whole(given.port_file, broker.bootstrap)
        # asked for, not signalled: PR_SET_PDEATHSIG is Linux's, and means the thread that started us
        while not stop.wait(PARENT_POLL_S) and not (given.with_parent and os.getppid() != parent):
            pass
    given.port_file.unlink(missing_ok=True)


def _write_whole(file: Path, text: str) -> None:
    """Write so that a reader sees everything or no file."""
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(file)


if __name__ == "__main__":
    try:
        main()
    except TapeflowError as exc:
        sys.exit(str(exc))
