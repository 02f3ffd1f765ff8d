"""The simulated exchange: valid, seeded, never ahead of the wall clock, whatever the slices of time."""

from __future__ import annotations

import itertools
from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.candles import Book, Patience
from sandbox.exchange import MINUTE_NS, SECOND_NS, Disorder, Exchange, MarketClock
from schemas.trade import ClockTick, Trade, TradeTick

NOW = 1_762_795_433_971_744_500


def arrivals(elapsed: float = 30.0, slices: list[float] | None = None, **options) -> list[Trade | ClockTick]:
    exchange = Exchange(MarketClock.behind(NOW), **options)
    return [item for at in [*(slices or []), elapsed] for item in exchange.until(at)]


def trades_of(items: list[Trade | ClockTick]) -> list[Trade]:
    return [item for item in items if isinstance(item, Trade)]


@given(seed=st.integers(0, 2**32), symbols=st.integers(1, 200))
@settings(max_examples=10, deadline=None)
def test_every_record_is_valid_by_the_contract(seed: int, symbols: int) -> None:
    for item in arrivals(4.0, seed=seed, symbols=symbols):
        if isinstance(item, ClockTick):
            ClockTick.model_validate_json(item.model_dump_json())
        else:
            TradeTick.model_validate_json(msgspec.json.encode(item))


@given(slices=st.lists(st.floats(0, 12), max_size=20).map(sorted))
@settings(max_examples=20, deadline=None)
def test_slices_of_time_do_not_matter(slices: list[float]) -> None:
    assert arrivals(12.0, slices) == arrivals(12.0)


def test_seed_decides() -> None:
    assert arrivals(seed=1) == arrivals(seed=1)
    assert arrivals(seed=1) != arrivals(seed=2)


@given(seconds=st.integers(0, 7200), speed=st.floats(1, 200), elapsed=st.floats(0, 10_000))
def test_market_never_runs_ahead_of_the_wall_clock(seconds: int, speed: float, elapsed: float) -> None:
    clock = MarketClock.behind(NOW, seconds=seconds, speed=speed)
    assert clock.start_ns <= clock.at(elapsed) <= NOW + round(elapsed * SECOND_NS)


def test_market_catches_up_and_then_keeps_pace() -> None:
    clock = MarketClock.behind(NOW, seconds=3600, speed=20)
    assert clock.at(1) - clock.at(0) == 20 * SECOND_NS
    assert clock.at(300) == NOW + 300 * SECOND_NS


def test_trades_do_not_arrive_before_they_happened_nor_beyond_the_market() -> None:
    exchange = Exchange(MarketClock.behind(NOW))
    for step in range(1, 241):
        market = exchange.clock.at(step)
        for item in exchange.until(step):
            assert item.ts_event <= market
            if isinstance(item, Trade):
                assert item.ts_recv is not None
                assert item.ts_event <= item.ts_recv <= market


def test_one_clock_record_a_second_in_order() -> None:
    clocks = [item.ts_event for item in arrivals(30.5) if isinstance(item, ClockTick)]
    clock = MarketClock.behind(NOW)
    assert clocks == [clock.at(second) for second in range(1, 31)]


def test_rate_and_activity() -> None:
    counts = Counter(trade.symbol for trade in trades_of(arrivals(60.0, rate=500.0, symbols=20)))
    assert counts.total() == pytest.approx(30_000, rel=0.05)
    assert counts["SIM01"] == pytest.approx(10 * counts["SIM10"], rel=0.2)


def test_prices_lie_on_the_grid_and_walk() -> None:
    by_symbol: dict[str, list[float]] = {}
    for trade in trades_of(arrivals(60.0, disorder=Disorder(jitter_s=1e-6, late_share=0))):
        assert trade.price == round(trade.price, 2)
        by_symbol.setdefault(trade.symbol, []).append(trade.price)
    walk = by_symbol["SIM01"]
    assert len(set(walk)) > 20
    assert max(abs(b / a - 1) for a, b in itertools.pairwise(walk)) < 0.02


def test_ordinary_trades_are_in_time_and_late_ones_revise() -> None:
    patience = Patience()
    for share, lowest in ((0.0, 0), (0.05, 20)):
        book = Book(patience)
        late = expired = finals = 0
        for item in arrivals(60.0, disorder=Disorder(late_share=share)):
            folded = book.fold([], 0, [(0, item)]) if isinstance(item, ClockTick) else book.fold([item], 0)
            late += folded.late
            expired += len(folded.expired)
            finals += sum(bar.revision == 0 for bar in folded.bars)
        assert expired == 0
        assert finals > 50 * 15
        assert (late == 0) if share == 0 else (late > lowest)


def test_quiet_symbols_close_by_the_clock_alone() -> None:
    book = Book(Patience())
    closed = 0
    exchange = Exchange(MarketClock.behind(NOW), symbols=1)
    for item in exchange.until(3.0):
        if isinstance(item, Trade):
            book.fold([item], 0)
    for item in exchange.until(4.0):
        if isinstance(item, ClockTick):
            closed += len(book.fold([], 0, [(0, item)]).bars)
    assert closed == 1


def test_starts_on_a_whole_minute() -> None:
    assert MarketClock.behind(NOW).start_ns % MINUTE_NS == 0


@pytest.mark.parametrize("options", [{"symbols": 0}, {"symbols": 10_001}, {"rate": 0.0}])
def test_refuses_what_makes_no_market(options) -> None:
    with pytest.raises(ValueError, match="an exchange has"):
        Exchange(MarketClock.behind(NOW), **options)


def test_refuses_a_market_ahead_of_the_wall_clock() -> None:
    with pytest.raises(ValueError, match="at or before the present"):
        MarketClock(NOW + 1, NOW)
