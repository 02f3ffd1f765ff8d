"""The key of candles grows by the adjustment while workers of the release before still write."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from migrations.files import migration_files
from migrations.runner import migrate_down, migrate_up
from sinks import candles, vendor_bars
from sinks.candles import ranked
from tests.migrations.conftest import Target
from tests.unit.sinks.bars import bar
from tests.unit.sinks.results import bar_row
from tests.unit.sinks.results import vendor_bars as answer

pytestmark = pytest.mark.integration

LAST = "0017_post_key_of_candles"
#: as the release before writes: it knows neither coverage nor adjustment, and its key is the old one
BEFORE = """
    insert into candles_intraday as t
      (symbol, interval, ts, o, h, l, c, v, provider, feed, rule, provider_rank, revision, is_final)
    values (%(symbol)s, '1m', '2023-11-14T22:14Z', 10, 12, 9, 11, 100, %(provider)s, %(feed)s,
            'all_trades.v1', %(rank)s, %(revision)s, true)
    on conflict (symbol, interval, ts) do update
    set provider_rank = excluded.provider_rank, revision = excluded.revision
    where (excluded.provider_rank, excluded.provider collate "C", excluded.feed collate "C",
           excluded.is_final, excluded.revision)
        > (t.provider_rank, t.provider collate "C", t.feed collate "C", t.is_final, t.revision)
"""
KNOWN = """
    select symbol, adjustment, provider, feed, coverage, provider_rank, revision from candles_intraday
    order by symbol, adjustment
"""


def old(conn: psycopg.Connection[Any], symbol: str, feed: str, rank: int = 0, revision: int = 0) -> None:
    said = {"symbol": symbol, "provider": "polygon", "feed": feed, "rank": rank, "revision": revision}
    conn.execute(BEFORE, said)
    conn.commit()


def known(conn: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    rows = conn.execute(KNOWN).fetchall()
    conn.commit()
    return rows


def test_both_releases_write_until_the_old_one_is_gone(target: Target):
    url = target.create()
    assert LAST not in migrate_up(url, option=target.option, pre_only=True)
    rank = ranked(("polygon",))
    with psycopg.connect(url) as conn:
        candles.prepare(conn)
        vendor_bars.prepare(conn)
        old(conn, "BOTH", "sip", rank=1)
        candles.write(conn, [bar(symbol="BOTH", feed="sip", revision=1), bar(symbol="NEW", feed="iex")], rank)
        conn.commit()
        for symbol in ("BOTH", "NEW", "OLD"):
            old(conn, symbol, "iex", rank=1, revision=3)
        assert known(conn) == [
            ("BOTH", "raw", "polygon", "sip", "consolidated", 2, 1),
            ("NEW", "raw", "polygon", "iex", "iex", 1, 3),
            ("OLD", "raw", "polygon", "iex", "", 1, 3),
        ]
        with pytest.raises(psycopg.errors.UniqueViolation):
            vendor_bars.write(conn, [answer(bar_row(symbol="BOTH"), adjustment="split")], ())
        conn.rollback()
        for symbol, feed in (("OLD-SIP", "sip"), ("OLD-OWN", "")):
            old(conn, symbol, feed, rank=1)
    migrate_up(url)
    with psycopg.connect(url) as conn:
        candles.prepare(conn)
        vendor_bars.prepare(conn)
        # as the new release writes them
        assert [rank("polygon", feed) for feed in ("sip", "iex")] == [("consolidated", 2), ("iex", -16_382)]
        assert {row[0]: row[4:6] for row in known(conn)} == {
            "BOTH": ("consolidated", 2),
            "NEW": ("iex", -16_382),
            "OLD": ("iex", -16_382),
            "OLD-SIP": ("consolidated", 2),
            "OLD-OWN": ("", 1),
        }
        vendor_bars.write(conn, [answer(bar_row(symbol="BOTH"), adjustment="split")], ())
        conn.commit()
        assert [row[:2] for row in known(conn)][:2] == [("BOTH", "raw"), ("BOTH", "split")]


def test_the_way_back_leaves_no_adjusted_bar_that_would_pass_for_a_raw_one(target: Target):
    url = target.create()
    files = [file.id for file in migration_files(target.option)]
    migrate_up(url, option=target.option)
    rank = ranked(("polygon",))
    with psycopg.connect(url) as conn:
        candles.prepare(conn)
        vendor_bars.prepare(conn)
        candles.write(conn, [bar(symbol="A", feed="sip"), bar(symbol="B", feed="iex")], rank)
        split = [answer(bar_row(symbol=symbol), adjustment="split") for symbol in ("A", "ALONE")]
        vendor_bars.write(conn, split, ())
    migrate_down(url, steps=len(files) - files.index(LAST))
    with psycopg.connect(url) as conn:
        assert [row[:2] + row[5:6] for row in known(conn)] == [("A", "raw", 1), ("B", "raw", 1)]
        old(conn, "A", "sip", rank=1, revision=1)
        assert [row[-1] for row in known(conn)] == [1, 0]
    migrate_up(url)
    with psycopg.connect(url) as conn:
        assert [row[4:6] for row in known(conn)] == [("consolidated", 2), ("iex", -16_382)]
