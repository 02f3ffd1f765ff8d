"""What waiting does not mend: the worker ends, nothing acknowledged, and goes on when it is mended."""

from __future__ import annotations

import psycopg
import pytest

from schemas.trade import Trade
from tests.acceptance.conftest import RigFactory
from tests.acceptance.sampler import Sampler

MINUTE_NS = 60_000_000_000
START_NS = 1_700_000_040_000_000_000


def minute(n: int, count: int = 100) -> list[Trade]:
    """Trades of one symbol within a minute."""
    return [Trade("AAPL", START_NS + n * MINUTE_NS + i, 10.0 + i % 7, 1.0, "sim") for i in range(count)]


@pytest.mark.parametrize(
    ("breaks", "mends"),
    [
        ("alter table candles_intraday rename to away", "alter table away rename to candles_intraday"),
        (
            "alter table sink_offsets add constraint wrong check (next_offset < 150) not valid",
            "alter table sink_offsets drop constraint wrong",
        ),
    ],
)
def test_a_database_that_refuses_ends_the_worker(make_rig: RigFactory, breaks: str, mends: str) -> None:
    rig = make_rig(partitions=1)
    with Sampler(rig) as sampler:
        rig.send_trades(minute(0))
        rig.start("w1")
        rig.wait_stored(100, 30)
        with psycopg.connect(rig.database_url) as connection:
            connection.execute(breaks)
        rig.send_trades(minute(5))
        assert rig.wait_ended("w1", 30) == 1
        assert "the database refused" in rig.log_tail(3)
        assert rig.stored() == 100
        with psycopg.connect(rig.database_url) as connection:
            connection.execute(mends)
        rig.send_trades(minute(6))
        rig.start("w1")
        rig.wait_stored(300, 30)
    assert rig.end("w1")[0] == 0
    rig.verify(sampler)


def test_a_position_beyond_the_end_stops_the_worker(make_rig: RigFactory) -> None:
    rig = make_rig(partitions=1)
    rig.send_trades(minute(0))
    rig.start("w1")
    rig.wait_stored(100, 30)
    assert rig.end("w1")[0] == 0
    with psycopg.connect(rig.database_url) as connection:
        connection.execute("update sink_offsets set next_offset = 500, resume_offset = 500")
    rig.start("w1")
    assert rig.wait_ended("w1", 30) == 6
    assert "500 is stored but the partition ends at 100" in rig.log_tail()
    assert "tapeflow offsets" in rig.log_tail()
