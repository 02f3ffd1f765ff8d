"""A consumer of ``md.quotes.v1`` that may be killed: BOOTSTRAP TOPIC PARTITIONS GROUP FILE [end].

It writes what it got to a file, then commits; so a kill makes repeats, and loses nothing. A line is
``PARTITION TAB ID TAB CRC`` of the value. With ``end`` it ends where the topic does.
"""

from __future__ import annotations

import os
import sys
import time
import zlib
from pathlib import Path
from typing import cast

from confluent_kafka import Consumer, Message, TopicPartition

COMMIT_S = 0.2


def main(bootstrap: str, topic: str, partitions: int, group: str, path: Path, *, to_the_end: bool) -> None:
    """Go on where the last one committed."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 20,
        }
    )
    tps = consumer.committed([TopicPartition(topic, p) for p in range(partitions)], timeout=10)
    for tp in tps:
        tp.offset = max(tp.offset, 0)
    consumer.assign(tps)
    at = {tp.partition: tp.offset for tp in tps}
    ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in at}
    out = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND)
    os.ftruncate(out, path.read_bytes().rfind(b"\n") + 1)  # a kill may have torn the last line
    committed = time.monotonic()
    while not (to_the_end and at == ends):
        # few at a time: whoever kills it must find it in the middle of something
        messages = consumer.consume(100, 0.05)
        os.write(out, b"".join(map(_line, messages)))
        for message in messages:
            at[cast(int, message.partition())] = cast(int, message.offset()) + 1
        if time.monotonic() - committed > COMMIT_S:
            consumer.commit(offsets=[TopicPartition(topic, p, o) for p, o in at.items()], asynchronous=False)
            committed = time.monotonic()


def _line(message: Message) -> bytes:
    assert message.error() is None, message.error()
    headers = cast(list[tuple[str, bytes]], message.headers() or [])
    name = next(value for name, value in headers if name == "id")
    return f"{message.partition()}\t{name.decode()}\t{zlib.crc32(cast(bytes, message.value()))}\n".encode()


if __name__ == "__main__":
    main(
        sys.argv[1],
        sys.argv[2],
        int(sys.argv[3]),
        sys.argv[4],
        Path(sys.argv[5]),
        to_the_end=sys.argv[6:] == ["end"],
    )
