"""What is asked of quotes most is answered by the key, over many symbols and days, on both editions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from sinks.database import Connection

pytestmark = pytest.mark.integration

SYMBOLS, DAYS, A_DAY = 8_000, 5, 5
#: symbols whose last quote is of each of the earlier days
QUIET = SYMBOLS // 10
#: rows that tell the latest one from the one before it
EACH = 2
#: of the index from its root to the leaf, and of the table; a day of this index has some hundred
PAGES = 10
THROWN_AWAY = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
FILL = """
    insert into quotes_l1 (symbol, ts, ts_ns, bid, bid_size, ask, ask_size, provider, feed, n)
    select 'S' || k, t, (extract(epoch from t) * 1000000)::int8 * 1000,
      1, 1, 2, 1, 'polygon', 'sip', d * 9 + i + 1
    from generate_series(0, %(days)s - 1) d, generate_series(0, %(a_day)s - 1) i,
         generate_series(1, %(symbols)s) k,
         lateral (select timestamptz '2026-03-10T00:00Z' + d * interval '1 day' + i * interval '1 hour'
           + k * interval '100 microseconds') as at(t)
    where k > %(quiet)s * (d - 1)
    order by t
"""
LISTED = "insert into quote_symbols select distinct symbol from quotes_l1"


@pytest.fixture(params=["before statistics are made", "after"])
def filled(database_url: str, request: pytest.FixtureRequest) -> Iterator[Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("set timezone = 'UTC'")
        given = {"days": DAYS, "a_day": A_DAY, "symbols": SYMBOLS, "quiet": QUIET}
        connection.execute(FILL, given)
        connection.execute(LISTED)
        if request.param == "after":
            connection.execute("vacuum analyze")
        yield connection


def scans(connection: Connection, query: str) -> list[dict[str, Any]]:
    """Return the nodes of the plan, as it ran, that read the rows of quotes or the index on them."""
    (plans,) = connection.execute(f"explain (analyze, buffers, format json) {query}").fetchone() or ([],)
    nodes, found = [plans[0]["Plan"]], []
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        # the node above the chunks of a hypertable bears its name and reads nothing itself
        if node["Node Type"] != "Custom Scan" and node.get("Relation Name") != "quote_symbols":
            found += [node] if "Relation Name" in node or "Index Name" in node else []
    assert found, "the plan reads no quotes at all"
    return found


def read(nodes: list[dict[str, Any]]) -> float:
    """Return how many rows of the table they read, those included that were thrown away."""
    total = 0.0
    for node in nodes:
        if "Relation Name" in node:
            each = sum(node.get(what, 0) for what in ("Actual Rows", *THROWN_AWAY))
            total += each * node["Actual Loops"]
    return total


def by_key(nodes: list[dict[str, Any]]) -> bool:
    """Return whether no row was found but by the key, which was given the symbol and went straight to it."""
    indexes = [node for node in nodes if "Index Name" in node]
    return all(node["Node Type"] != "Seq Scan" for node in nodes) and all(
        node["Index Name"].endswith("quotes_l1_pkey")
        and "symbol = " in node.get("Index Cond", "")
        # an index that is read from end to end says the same of itself, but for the pages
        and node["Shared Hit Blocks"] + node["Shared Read Blocks"] <= PAGES * node["Actual Loops"]
        for node in indexes
    )


def test_the_latest_of_all_symbols_reads_a_few_rows_of_each(filled: Connection) -> None:
    nodes = scans(filled, "select * from latest_quotes")
    assert by_key(nodes)
    assert read(nodes) <= SYMBOLS * EACH
    days = filled.execute(
        "select ts::date::text, count(*) from latest_quotes group by 1 order by 1"
    ).fetchall()
    assert [count for _, count in days] == [QUIET] * (DAYS - 2) + [SYMBOLS - QUIET * (DAYS - 2)]


def test_the_latest_of_one_symbol_reads_a_few_rows(filled: Connection) -> None:
    nodes = scans(filled, "select * from latest_quotes where symbol = 'S7777'")
    assert by_key(nodes)
    assert read(nodes) <= EACH


def test_a_window_of_one_symbol_reads_that_window(filled: Connection) -> None:
    nodes = scans(
        filled,
        "select * from quotes_l1 where symbol = 'S7777'"
        " and ts >= '2026-03-12T01:00Z' and ts < '2026-03-12T03:00Z'"
        " order by ts, ts_ns, provider, feed, seq, n",
    )
    assert len([node for node in nodes if "Relation Name" in node]) == 1, "other days are not looked at"
    assert by_key(nodes)
    assert read(nodes) == 2
