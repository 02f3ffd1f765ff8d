"""The demo's market on its way to a broker: all of it, in order, a known share of it spoilt, and closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest

from domain.candles import Book, Patience
from domain.clock import Clock
from sandbox.demo.feed import LONGEST_STEP_S, POISON_EVERY, STEP_S, Feed, encode, spoil
from sandbox.exchange import MINUTE_NS, SECOND_NS, Exchange, MarketClock
from schemas.chunk import FUTURE_NS
from schemas.decode import examine
from schemas.errors import Poison, Reason
from schemas.topics import TRADES
from schemas.trade import ClockTick, Trade

NOW = 1_762_795_433_971_744_500
LATENESS = 2 * SECOND_NS
PATIENCE = Patience(lateness_ns=LATENESS)


@dataclass
class Record:
    """What the broker would have got, and when (ns)."""

    value: bytes
    at: int
    symbol: str = ""


@dataclass
class Leaps:
    """A clock that leaps whenever somebody looks how long it took."""

    leap_s: float
    now: int = NOW
    passed_s: float = 0.0
    on_leap: Callable[[float], None] = lambda _: None

    def now_ns(self) -> int:
        return self.now + round(self.passed_s * SECOND_NS)

    def monotonic(self) -> float:
        self.passed_s += self.leap_s
        self.on_leap(self.passed_s)
        return self.passed_s


@dataclass
class Notebook:
    """Keeps what it is asked to send; what was not flushed does not count."""

    clock: Clock
    clocks: int = 0
    sent: list[Record] = field(default_factory=list)
    held: list[Record] = field(default_factory=list)
    finished: bool = False

    @property
    def acknowledged(self) -> int:
        return sum(bool(r.symbol) for r in self.sent)

    async def send(self, trades: Iterable[Trade], values: Iterable[bytes]) -> None:
        for trade, value in zip(trades, values, strict=True):
            self.held.append(Record(value, self.clock.now_ns(), trade.symbol))

    async def send_clock(self, tick: ClockTick) -> None:
        self.held.append(Record(tick.model_dump_json().encode(), self.clock.now_ns()))
        self.clocks += 1
        await self.flush()

    async def flush(self) -> None:
        self.sent += self.held
        self.held = []

    async def finish(self) -> None:
        await self.flush()
        self.finished = True


async def play(
    seconds: float, rate: float = 400.0, leap_s: float = 0.5, market: MarketClock | None = None
) -> tuple[Feed, Notebook]:
    """Play so many seconds of the clock's time, in an instant."""
    stop = asyncio.Event()
    clock = Leaps(leap_s, on_leap=lambda passed: stop.set() if passed > seconds else None)
    sender = Notebook(clock)
    feed = Feed(Exchange(market or MarketClock.behind(NOW), rate=rate), sender, clock)
    await feed.run(stop, LATENESS)
    return feed, sender


def good(records: Iterable[Record]) -> list[Trade]:
    return [v for r in records if r.symbol and isinstance(v := examine(r.value), Trade)]


async def test_everything_is_sent_and_counted_and_one_in_a_thousand_is_bad() -> None:
    feed, sender = await play(20, rate=1_000)
    assert sender.finished
    assert not sender.held
    assert sender.acknowledged == feed.sent > 10 * POISON_EVERY
    assert feed.spoilt == feed.sent // POISON_EVERY
    trades = good(sender.sent)
    assert len(trades) == feed.tally.trades == feed.sent - feed.spoilt
    assert feed.records == feed.sent + sender.clocks * TRADES.partitions


async def test_it_sends_what_the_exchange_trades_in_its_order() -> None:
    _, sender = await play(8)
    exchange = Exchange(MarketClock.behind(NOW), rate=400.0)
    expected = [t.trade_id for t in exchange.until(60) if isinstance(t, Trade)]
    sent = [t.trade_id for t in good(sender.sent)]
    spoilt = {i for i in range(len(sent)) if (i + 1) % POISON_EVERY == 0}
    assert sent == [t for i, t in enumerate(expected[: len(sent) + len(spoilt)]) if i not in spoilt]


async def test_the_bell_closes_every_bar_and_comes_last() -> None:
    feed, sender = await play(11)
    bell = examine(sender.sent[-1].value)
    assert isinstance(bell, ClockTick)
    assert bell.ts_event == feed.market_ns - feed.market_ns % MINUTE_NS + MINUTE_NS + LATENESS
    book = Book(PATIENCE)
    trades = good(sender.sent)
    folded = book.fold(trades, 0, [(len(trades), bell)])
    assert not book.windows
    assert sum(1 for b in folded.bars if b.revision == 0) == len(
        {(b.symbol, b.ts_event) for b in folded.bars}
    )
    assert not folded.expired


@pytest.mark.parametrize("second", [1.5, 30.0, 59.9])
async def test_no_record_is_from_the_future_even_when_the_bell_rings_early_in_a_minute(second: float) -> None:
    minute = NOW - NOW % MINUTE_NS
    market = MarketClock(minute + round(second * SECOND_NS), minute + round(second * SECOND_NS), 1.0)
    stop = asyncio.Event()
    begun = asyncio.get_running_loop().time()

    class Real:
        def now_ns(self) -> int:
            return market.now_ns + round((asyncio.get_running_loop().time() - begun) * SECOND_NS)

        def monotonic(self) -> float:
            return asyncio.get_running_loop().time()

    sender = Notebook(Real())
    feed = Feed(Exchange(market, rate=400.0), sender, Real())
    asyncio.get_running_loop().call_later(2 * STEP_S, stop.set)
    await feed.run(stop, LATENESS)
    for record in sender.sent:
        value = examine(record.value)
        assert isinstance(value, Poison) or value.ts_event - record.at <= FUTURE_NS


async def test_after_a_pause_of_the_process_the_market_goes_on_where_it_stood() -> None:
    feed, _ = await play(1_800, leap_s=600)
    assert feed.sent < 4 * LONGEST_STEP_S * 400 * 1.5
    assert feed.market_ns <= NOW - 3_600 * SECOND_NS + round(4 * LONGEST_STEP_S * 20 * SECOND_NS)


@pytest.mark.parametrize(
    ("number", "reason", "says"),
    [
        (1, Reason.DESERIALIZE, "JSON"),
        (2, Reason.SCHEMA, "price"),
        (3, Reason.SCHEMA, "colour"),
        (4, Reason.SCHEMA, "symbol"),
    ],
)
def test_each_spoilt_trade_is_refused_for_its_own_reason(number: int, reason: Reason, says: str) -> None:
    trade = Trade("SIM01", NOW, 22.5, 100.0, "sim", "demo", "SIM", seq=7, trade_id="SIM01-7", ts_recv=NOW)
    assert isinstance(examine(encode(trade)), Trade)
    verdict = examine(spoil(encode(trade), number))
    assert isinstance(verdict, Poison)
    assert verdict.reason is reason
    assert says in verdict.detail
