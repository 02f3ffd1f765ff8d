"""A rig for each test, with a database of its own."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.rig import PARTITIONS, Rig
from tests.market import Market, MarketFile, write_market

RigFactory = Callable[..., Rig]


@pytest.fixture(scope="session")
def million(tmp_path_factory: pytest.TempPathFactory) -> MarketFile:
    """A million trades and a thousand bad records."""
    market = Market(1_000_000, seed=20261124, partitions=PARTITIONS, poison=0.001)
    return write_market(tmp_path_factory.mktemp("market") / "million", market)


@pytest.fixture(scope="session")
def middling(tmp_path_factory: pytest.TempPathFactory) -> MarketFile:
    """Trades for 40 s at 10,000 a second, and a few bad records."""
    market = Market(400_000, seed=11, partitions=PARTITIONS, poison=0.001)
    return write_market(tmp_path_factory.mktemp("market") / "middling", market)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> MarketFile:
    """Trades for 20 s at 10,000 a second, and a few bad records."""
    market = Market(200_000, seed=12, partitions=PARTITIONS, poison=0.001)
    return write_market(tmp_path_factory.mktemp("market") / "small", market)


@pytest.fixture
def make_rig(kafka: Any, timescale: Any, tmp_path: Path) -> Iterator[RigFactory]:
    """Make rigs: fresh topics, a fresh database; everything they start ends with the test."""
    rigs: list[Rig] = []

    def make(kind: type[Rig] = Rig, **settings: Any) -> Rig:
        url = timescale.create_database(f"rig_{uuid.uuid4().hex[:12]}")
        rig = kind(kafka.bootstrap, url, tmp_path, **settings)
        rigs.append(rig)
        asyncio.run(rig.prepare())
        return rig

    yield make
    for rig in rigs:
        rig.close()
