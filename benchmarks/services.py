"""The broker and the database server that the contenders share."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path


def services(stack: ExitStack, folder: Path) -> tuple[str, str]:
    """Return bootstrap servers and the URL of a maintenance database.

    Taken from the environment if both are set, else a local Kafka and TimescaleDB are started.
    """
    servers, url = os.environ.get("KAFKA_BOOTSTRAP_SERVERS"), os.environ.get("DATABASE_URL")
    if servers and url:
        return servers, url
    raise SystemExit(f"not there yet {stack} {folder}")
