"""What is shown as the last quote: only what is stored, at a pace, each in the end, never the older one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from domain.latest import Latest
from schemas.quote import L1Quote
from schemas.topics import QUOTES_LATEST, QUOTES_RAW, TRADES
from streams.batcher import Part
from streams.latest import LatestQuotes, Shop
from streams.output import Message, Target
from streams.status import QuoteCounters
from streams.tenure import Tenure
from tests.unit.streams.clocks import SetClock

TP0, TP1 = TP(QUOTES_RAW.name, 0), TP(QUOTES_RAW.name, 1)
T0 = 1_700_000_040


def quote(n: int, symbol: str = "AAPL") -> L1Quote:
    return L1Quote(symbol, T0 * 10**9 + n, n, "polygon", bid=float(n))


class App:
    """A worker with two partitions of quotes, and one of trades whose state is another."""

    def __init__(self) -> None:
        self.clock = SetClock(T0 + 10)
        self.settings = SimpleNamespace(topic=lambda spec: spec.name)
        self.counters = SimpleNamespace(quotes=QuoteCounters())
        self.parts: list[Part[L1Quote]] = []
        self.published: list[tuple[int, str, int]] = []
        self.tenures = {tp: self.tenure(tp) for tp in (TP0, TP1)}
        self.tenures[TP(TRADES.name, 0)] = Tenure(TP(TRADES.name, 0), 5, 5, 5, 0, object(), 0.0)
        self.services = SimpleNamespace(
            quote_batcher=SimpleNamespace(put=self._put), output=SimpleNamespace(deliver=self._deliver)
        )

    def tenure(self, tp: TP) -> Tenure:
        state = SimpleNamespace(latest=Latest(("polygon",)), shop=Shop(self.clock.monotonic() - 1.0))
        return Tenure(tp, 5, 5, 5, 0, state, 0.0)

    async def _put(self, parts: list[Part[L1Quote]]) -> None:
        self.parts += parts

    async def _deliver(self, messages: Mapping[Target, Iterable[Message]]) -> None:
        for (topic, partition), items in messages.items():
            assert topic == QUOTES_LATEST.name
            for key, value, _ in items:
                assert key is not None
                assert value is not None
                self.published.append((partition, key.decode(), json.loads(value)["n"]))


@pytest.fixture
async def app() -> App:
    return App()


@pytest.fixture
async def latest(app: Any) -> LatestQuotes:
    return LatestQuotes(app)


def stored(app: App, tp: TP, *quotes: L1Quote) -> Part[L1Quote]:
    return Part(app.tenures[tp], 5, latest=quotes)


def known(app: App, tp: TP, *quotes: L1Quote) -> None:
    app.tenures[tp].state.latest.offer(quotes, [T0 * 1000 + q.n for q in quotes])


async def test_what_is_stored_is_shown_each_symbol_once_and_its_last_quote(app, latest):
    known(app, TP0, quote(1), quote(1, "MSFT"), quote(2))
    known(app, TP1, quote(1, "IBM"))
    await latest.show(
        [
            stored(app, TP0, quote(1), quote(1, "MSFT")),
            stored(app, TP1, quote(1, "IBM")),
            stored(app, TP0, quote(2)),
        ]
    )
    assert app.published == [(0, "AAPL", 2), (0, "MSFT", 1), (1, "IBM", 1)]
    assert app.counters.quotes.latest == 3


async def test_one_that_comes_too_soon_waits_and_the_last_one_of_all_is_shown(app, latest):
    known(app, TP0, quote(1), quote(2), quote(3))
    await latest.show([stored(app, TP0, quote(1))])
    app.clock.seconds += 0.125
    await latest.show([stored(app, TP0, quote(2))])
    app.clock.seconds += 0.0625
    await latest.show([stored(app, TP0, quote(3))])
    assert app.published == [(0, "AAPL", 1)]
    app.clock.seconds += 0.0625
    await latest.show([stored(app, TP0)])
    assert app.published == [(0, "AAPL", 1), (0, "AAPL", 3)]
    app.clock.seconds += 1.0
    await latest.show([stored(app, TP0)])
    assert len(app.published) == 2


async def test_all_symbols_of_a_partition_are_shown_together_and_another_partition_has_its_own_time(
    app, latest
):
    known(app, TP0, quote(1), quote(2, "MSFT"))
    known(app, TP1, quote(1, "IBM"))
    await latest.show([stored(app, TP0, quote(1))])
    app.clock.seconds += 0.125
    await latest.show([stored(app, TP0, quote(2, "MSFT")), stored(app, TP1, quote(1, "IBM"))])
    assert app.published == [(0, "AAPL", 1), (1, "IBM", 1)]
    app.clock.seconds += 0.125
    await latest.show([stored(app, TP0)])
    assert app.published == [(0, "AAPL", 1), (1, "IBM", 1), (0, "MSFT", 2)]


async def test_the_pace_counts_from_when_the_broker_had_the_last_ones(app, latest):
    deliver = app.services.output.deliver

    async def slowly(messages: Any) -> None:
        await deliver(messages)
        app.clock.seconds += 0.5

    app.services.output.deliver = slowly
    known(app, TP0, quote(1), quote(2))
    await latest.show([stored(app, TP0, quote(1))])
    await latest.show([stored(app, TP0, quote(2))])
    assert app.published == [(0, "AAPL", 1)]


async def test_what_waits_is_put_on_its_way_by_the_wall_clock(app, latest):
    known(app, TP0, quote(1), quote(2))
    await latest.show([stored(app, TP0, quote(1))])
    await latest.show([stored(app, TP0, quote(2))])
    app.tenures[TP0].state.latest.confirm([quote(2)])
    await latest._publish(app.tenures[TP0])
    (part,) = app.parts
    assert (part.tenure, part.piece, list(part.latest)) == (app.tenures[TP0], None, [])
    app.clock.seconds += 0.25
    await latest.show([part])
    assert app.published == [(0, "AAPL", 1), (0, "AAPL", 2)]


async def test_whoever_held_the_partition_before_may_have_shown_something_a_moment_ago(app, latest):
    app.tenures[TP0].state.shop = Shop(app.clock.monotonic())
    known(app, TP0, quote(1))
    await latest.show([stored(app, TP0, quote(1))])
    assert app.published == []
    app.clock.seconds += 0.25
    await latest.show([stored(app, TP0)])
    assert app.published == [(0, "AAPL", 1)]


async def test_the_last_quote_of_a_quiet_symbol_is_flushed(app, latest):
    known(app, TP0, quote(1), quote(2))
    app.tenures[TP0].state.latest.confirm([quote(1)])
    tenure = app.tenures[TP0]
    await latest._publish(tenure)
    await latest._publish(tenure)
    assert [[q.n for q in part.latest] for part in app.parts] == [[2]]


async def test_what_was_given_out_and_not_confirmed_is_given_out_again_by_the_next_tenure(app, latest):
    """The part that had it was dropped with its tenure."""
    known(app, TP0, quote(1), quote(2, "MSFT"))
    state = app.tenures[TP0].state
    await latest._publish(app.tenures[TP0])
    await latest._publish(app.tenures[TP0])
    app.parts.clear()
    state.latest.confirm([quote(2, "MSFT")])
    again = app.tenures[TP0] = Tenure(TP0, 5, 5, 5, 5, state, 0.0)
    await latest._publish(again)
    await latest._publish(again)
    assert [[q.symbol for q in part.latest] for part in app.parts] == [["AAPL"]]


async def test_while_a_partition_is_folded_again_nothing_is_shown_of_it(app, latest):
    known(app, TP0, quote(1), quote(2))
    app.tenures[TP0].suppress = 6
    await latest._publish(app.tenures[TP0])
    await latest._publish(app.tenures[TP0])
    assert app.parts == []
    assert latest.get("AAPL") is None
    app.tenures[TP0].folded = 6
    found = latest.get("AAPL")
    assert found is not None
    assert found.n == 2


async def test_the_last_quote_is_that_of_the_partition_that_has_it(app, latest):
    known(app, TP1, quote(4, "IBM"))
    found = latest.get("IBM")
    assert found is not None
    assert found.n == 4
    assert latest.get("AAPL") is None
