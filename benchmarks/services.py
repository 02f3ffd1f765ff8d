"""The broker and the database server that the contenders share."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path

from sandbox.local_kafka import LocalKafka
from sandbox.local_timescale import LocalTimescale


def services(stack: ExitStack, folder: Path) -> tuple[str, str]:
    """Return bootstrap servers and the URL of a database from which others can be created.

    Those of KAFKA_BOOTSTRAP_SERVERS and DATABASE_URL if both are set; else a local Kafka and TimescaleDB
    are started for this run.

    Raises:
        DependencyAway: they cannot be started here.
    """
    servers, url = os.environ.get("KAFKA_BOOTSTRAP_SERVERS"), os.environ.get("DATABASE_URL")
    if servers and url:
        return servers, url
    kafka = stack.enter_context(LocalKafka(folder / "kafka", say=_say))
    timescale = stack.enter_context(LocalTimescale(folder / "timescale", say=_say))
    return kafka.bootstrap, timescale.url


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
