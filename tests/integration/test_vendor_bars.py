"""Bars of all sources on a real database: one and the same final row, whatever comes in which order (P5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.candle import Bar
from sinks import candles, vendor_bars
from sinks.candles import ranked
from sinks.database import Connection
from tests.unit.sinks.bars import MINUTE_NS, START, bar
from tests.unit.sinks.results import NOW, SECOND_NS, bar_row, numbers
from tests.unit.sinks.results import vendor_bars as answer

pytestmark = pytest.mark.integration

#: the providers with the lesser coverage are named first: it must not help them
PLACES = ("iex", "alpaca", "polygon")
RANK = ranked(PLACES)
COVERAGE = {"sip": "consolidated", "iex": "iex"}
ROWS = (
    "select symbol, interval, ts, adjustment, o, h, l, c, v, vwap, trade_count, provider, feed, coverage, "
    "rule, is_final, as_of, revision from candles_intraday order by symbol, interval, ts, adjustment"
)


@dataclass(frozen=True)
class Version:
    """One opinion of one bar; its numbers follow from whose it is."""

    provider: str
    feed: str
    official: bool
    final: bool = True
    #: of an official one: when it was asked for, seconds
    asked: int = 0
    #: of one made of trades
    revision: int = 0
    rule: str = "v1"
    adjustment: str = "raw"
    minute: int = 0
    symbol: str = "AAPL"

    @property
    def key(self) -> tuple[int, str]:
        return self.minute, self.adjustment

    @property
    def quality(self) -> tuple[Any, ...]:
        """Coverage, then place, then whose bar; then names; then final, the later answer, the revision."""
        place = PLACES[::-1].index(self.provider) if self.provider in PLACES else -1
        lesser = self.feed == "iex"
        names = self.provider.encode(), self.feed.encode(), self.rule.encode()
        return (not lesser, place, self.official, *names, self.final, self.asked, self.revision)

    @property
    def numbers(self) -> dict[str, Any]:
        return numbers(repr(self))

    @property
    def ts(self) -> int:
        return START + self.minute * MINUTE_NS

    def write(self, connection: Connection) -> None:
        """Store it as its kind is stored, in a transaction of its own."""
        store(connection, [self])

    def answer(self) -> vendor_bars.VendorBars:
        return answer(
            bar_row(symbol=self.symbol, ts_event=self.ts, **self.numbers),
            provider=self.provider,
            feed=self.feed,
            coverage=COVERAGE[self.feed],
            rule=self.rule,
            adjustment=self.adjustment,
            as_of_ns=NOW + self.asked * SECOND_NS,
            final_before_ns=self.ts + self.final,
        )

    def bar(self) -> Bar:
        return bar(
            symbol=self.symbol,
            ts_event=self.ts,
            provider=self.provider,
            feed=self.feed,
            rule=self.rule,
            revision=self.revision,
            is_final=self.final,
            **self.numbers,
        )

    @property
    def row(self) -> tuple[Any, ...]:
        """As it should be stored."""
        n = self.numbers
        prices = n["open"], n["high"], n["low"], n["close"], n["volume"], n["vwap"], n["trade_count"]
        as_of = NOW + self.asked * SECOND_NS if self.official else None
        where = self.provider, self.feed, COVERAGE.get(self.feed, ""), self.rule
        return (
            self.symbol,
            "1m",
            self.ts,
            self.adjustment,
            *prices,
            *where,
            self.final,
            as_of,
            self.revision,
        )


def store(connection: Connection, versions: Sequence[Version]) -> None:
    """Write versions in one transaction, those of each kind by one call."""
    if answers := [v.answer() for v in versions if v.official]:
        vendor_bars.write(connection, answers, PLACES)
    if bars := [v.bar() for v in versions if not v.official]:
        candles.write(connection, bars, RANK)
    connection.commit()


def stored(connection: Connection) -> list[tuple[Any, ...]]:
    """All rows, times in nanoseconds."""
    rows = []
    for symbol, interval, ts, *rest in connection.execute(ROWS).fetchall():
        as_of = rest[-2] and int(rest[-2].timestamp()) * SECOND_NS
        rows.append((symbol, interval, int(ts.timestamp()) * SECOND_NS, *rest[:-2], as_of, rest[-1]))
    connection.commit()
    return rows


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url) as connection:
        candles.prepare(connection)
        vendor_bars.prepare(connection)
        connection.commit()
        yield connection


#: the winner comes first
QUARTETS = {
    "the tape before one exchange": (
        Version("polygon", "sip", official=False),
        Version("iex", "iex", official=True, asked=9),
        Version("alpaca", "iex", official=True, asked=9),
        Version("alpaca", "iex", official=False, revision=9),
    ),
    "the provider's own bar before one made of its trades": (
        Version("polygon", "sip", official=True, final=False),
        Version("polygon", "sip", official=False, revision=2),
        Version("polygon", "sip", official=False, revision=1),
        Version("polygon", "sip", official=False, final=False, revision=70),
    ),
    "a better place before a worse one's own bar": (
        Version("alpaca", "sip", official=False, final=False),
        Version("polygon", "sip", official=True, asked=5),
        Version("polygon", "sip", official=True, asked=9),
        Version("iex", "iex", official=True, asked=9),
    ),
    "final before provisional, though asked later": (
        Version("alpaca", "sip", official=True, asked=1),
        Version("alpaca", "sip", official=True, final=False, asked=2),
        Version("alpaca", "sip", official=True, final=False, asked=3),
        Version("polygon", "sip", official=True, asked=4),
    ),
    "the later answer": (
        Version("polygon", "sip", official=True, asked=4),
        Version("polygon", "sip", official=True, asked=3),
        Version("polygon", "sip", official=True, asked=2),
        Version("polygon", "sip", official=True, asked=1),
    ),
    "the higher revision of what is made of trades": (
        Version("kraken", "", official=False, revision=2),
        Version("kraken", "", official=False, revision=1),
        Version("kraken", "", official=False, revision=0),
        Version("kraken", "", official=False, final=False, revision=400),
    ),
    "names, when nobody has a place": (
        Version("zeta", "sip", official=True, rule="v2"),
        Version("zeta", "sip", official=True, rule="v1", asked=9),
        Version("beta", "sip", official=True, rule="v3", asked=9),
        Version("beta", "", official=False, rule="v9", revision=9),
    ),
}


def orders(name: str) -> Iterator[tuple[Version, list[Version]]]:
    """Return the winner and the versions for each of the 24 orders; each order has a symbol of its own."""
    quartet = QUARTETS[name]
    for number, order in enumerate(permutations(quartet), 10):
        symbol = f"{list(QUARTETS).index(name)}.{number}"
        yield replace(quartet[0], symbol=symbol), [replace(version, symbol=symbol) for version in order]


def test_all_orders_of_four_versions_with_replays_end_with_the_same_row(connection):
    cases = [case for name in QUARTETS for case in orders(name)]
    assert len(cases) == 24 * len(QUARTETS)
    for _, order in cases:
        for count, version in enumerate(order, 1):
            version.write(connection)
            for replayed in order[:count]:
                replayed.write(connection)
    assert stored(connection) == [winner.row for winner, _ in cases]


def test_all_orders_in_one_transaction_end_with_the_same_row(connection):
    cases = [case for name in QUARTETS for case in orders(name)]
    for _, order in cases:
        store(connection, order * 2)
    assert stored(connection) == [winner.row for winner, _ in cases]


VERSIONS = st.one_of(
    st.builds(
        Version,
        st.sampled_from([*PLACES, "a-b", "a_c"]),
        st.sampled_from(["sip", "iex"]),
        st.just(value=True),
        final=st.booleans(),
        asked=st.integers(0, 3),
        rule=st.sampled_from(["v1", "v2"]),
        adjustment=st.sampled_from(["raw", "split", "all"]),
        minute=st.integers(0, 1),
    ),
    st.builds(
        Version,
        st.sampled_from([*PLACES, "a-b", "a_c"]),
        st.sampled_from(["sip", "iex", ""]),
        st.just(value=False),
        final=st.booleans(),
        # an answer always comes before a bar made of trades of the same source: `asked` does not compare them
        revision=st.integers(0, 3),
        rule=st.sampled_from(["v1", "v2"]),
        minute=st.integers(0, 1),
    ),
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    print_blob=True,
)
@given(batches=st.lists(st.lists(VERSIONS, min_size=1, max_size=8), min_size=1, max_size=6))
def test_after_every_batch_the_best_of_each_kind_is_stored(connection, batches):
    connection.execute("delete from candles_intraday")
    best: dict[tuple[int, str], Version] = {}
    for batch in batches:
        store(connection, batch)
        for version in batch:
            best[version.key] = max(best.get(version.key, version), version, key=lambda v: v.quality)
        assert stored(connection) == [best[key].row for key in sorted(best)]


def test_a_repetition_writes_nothing(connection):
    one = Version("polygon", "sip", official=True, asked=3)
    one.write(connection)
    before = connection.execute("select ctid, xmin, updated_at from candles_intraday").fetchall()
    store(connection, [one, one, replace(one, asked=2), replace(one, final=False, asked=9)])
    assert connection.execute("select ctid, xmin, updated_at from candles_intraday").fetchall() == before


def test_kinds_of_adjustment_live_side_by_side(connection):
    kinds = [Version("polygon", "sip", official=True, adjustment=kind) for kind in ("all", "raw", "split")]
    store(connection, kinds)
    Version("alpaca", "sip", official=False, revision=1).write(connection)
    raw = Version("alpaca", "sip", official=False, revision=1)
    assert stored(connection) == [kinds[0].row, raw.row, kinds[2].row]


def test_bars_before_the_bound_are_final(connection):
    rows = [bar_row(ts_event=START + n * MINUTE_NS) for n in range(4)]
    vendor_bars.write(connection, [answer(*rows, final_before_ns=START + 2 * MINUTE_NS)], PLACES)
    found = connection.execute("select is_final from candles_intraday order by ts").fetchall()
    assert found == [(True,), (True,), (False,), (False,)]


def test_what_a_provider_does_not_give_is_null_and_the_rest_is_kept_to_the_last_bit(connection):
    odd = bar_row(open=0.1 + 0.2, high=1e12, low=1e-9, close=2 / 3, volume=1 / 3, vwap=None, trade_count=None)
    vendor_bars.write(connection, [answer(odd, as_of_ns=NOW + 123_456_999)], PLACES)
    (row,) = connection.execute(
        "select o, h, l, c, v, vwap, trade_count, (extract(epoch from as_of) * 1000000)::int8, provider_rank "
        "from candles_intraday"
    ).fetchall()
    # the rank of the last of three places, the provider's own bar
    assert row == (
        odd.open,
        odd.high,
        odd.low,
        odd.close,
        odd.volume,
        None,
        None,
        (NOW + 123_456_999) // 1000,
        3,
    )


def test_many_answers_many_symbols_and_intervals_at_once(connection):
    answers = [
        answer(
            *(
                bar_row(symbol=f"S{n}", ts_event=START + m * MINUTE_NS, volume=float(n * 100 + m))
                for m in range(9)
            ),
            interval=interval,
        )
        for n in range(20)
        for interval in ("1m", "1h")
    ]
    vendor_bars.write(connection, [*answers, answer(rows=())], PLACES)
    found = connection.execute(
        "select symbol, interval, count(*), min(v), max(v) from candles_intraday group by 1, 2"
    ).fetchall()
    assert sorted(found) == sorted(
        (f"S{n}", interval, 9, n * 100, n * 100 + 8) for n in range(20) for interval in ("1h", "1m")
    )


def test_nothing_to_write(connection):
    vendor_bars.write(connection, [], PLACES)
    assert stored(connection) == []
