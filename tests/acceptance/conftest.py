"""A rig for each test, with a database of its own."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.rig import Rig

RigFactory = Callable[..., Rig]


@pytest.fixture
def make_rig(kafka: Any, timescale: Any, tmp_path: Path) -> Iterator[RigFactory]:
    """Make rigs: fresh topics, a fresh database; everything they start ends with the test."""
    rigs: list[Rig] = []

    def make(**settings: Any) -> Rig:
        url = timescale.create_database(f"rig_{uuid.uuid4().hex[:12]}")
        rig = Rig(kafka.bootstrap, url, tmp_path, **settings)
        rigs.append(rig)
        asyncio.run(rig.prepare())
        return rig

    yield make
    for rig in rigs:
        rig.close()
