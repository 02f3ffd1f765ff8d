"""Clients against the emulator: a month, row for row as each vendor defines it."""

from __future__ import annotations

from datetime import date, time

import pytest

from providers.base import BarsRequest, Provider, QuotesRequest, Source
from providers.capability import can_serve, reachable
from sandbox.market.calendar import MINUTE_NS, SECOND_NS, instant_ns, midnight_ns
from sandbox.market.market import Market
from sandbox.vendors import tiingo
from sandbox.vendors.server import Emulator
from schemas.errors import NotFound
from schemas.provider import INTERVALS, Adjustment, Coverage, Interval
from tests.integration.providers.month import FEW, LOTS_DAY, NOW_NS, SHARES_DAY, at, closing, door_of
from tests.integration.providers.subject import BATCH, SUBJECTS, TIINGO, Subject
from tests.integration.providers.truth import Truth, Window, first_difference

pytestmark = pytest.mark.integration

#: from the last session in which quotes were in lots, over the change of clocks, to the half day
MONTH = midnight_ns(date(2025, 10, 31)), midnight_ns(date(2025, 12, 1))


HALF_DAY = date(2025, 11, 28)
HOURS: dict[Interval, int] = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60}


def served() -> list[object]:
    """Every kind of bar that every subject can have."""
    return [
        pytest.param(subject, interval, adjustment, coverage, id=f"{subject.name}-{interval}-{adjustment}")
        for subject in SUBJECTS
        for interval, adjustment, coverage in sorted(
            reachable(subject.access), key=lambda kind: (INTERVALS.index(kind[0]), kind[1])
        )
    ]


@pytest.mark.parametrize(("subject", "interval", "adjustment", "coverage"), served())
async def test_a_month_of_bars(
    emulator: Emulator, subject: Subject, interval: Interval, adjustment: Adjustment, coverage: Coverage
) -> None:
    # not in the order of the alphabet, which vendors prefer
    symbols = tuple(emulator.market.symbols[::-1])
    before = len(emulator.log.of(subject.vendor))
    async with closing(subject.make(door_of(emulator, subject))) as client:
        result = await client.bars(BarsRequest(symbols, interval, *MONTH, adjustment))

    wanted = Truth(emulator.views, subject).bars(symbols, interval, MONTH, adjustment, NOW_NS)
    assert not first_difference(result.rows, wanted)
    assert result.missing == ()
    assert result.covered_ns == MONTH
    assert result.adjustment == adjustment
    rule = subject.rules[interval == "1d"]
    assert result.source == Source(subject.access.provider, subject.source_feed, coverage, rule)
    assert result.requests == len(emulator.log.of(subject.vendor)) - before
    # three batches, or twenty symbols, and then the pages of each
    least = len(symbols) if subject.vendor != "alpaca" else -(-len(symbols) // BATCH)
    if interval == "1m":
        assert result.requests > 2 * least


def test_the_month_has_what_clients_stumble_over(market: Market) -> None:
    days = [session.day for session in market.sessions if MONTH[0] <= midnight_ns(session.day) < MONTH[1]]
    noons = {instant_ns(day, time(12)) % (86_400 * SECOND_NS) for day in days}
    assert len(noons) == 2, "a change of clocks"
    assert market.session(HALF_DAY).half  # type: ignore[union-attr] # it is a session
    (split, later), (dividend,) = market.splits, market.dividends
    assert split.symbol in FEW
    assert days[0] < split.day < days[-1] < later.day
    assert days[0] < dividend.day < days[-1]
    assert set(FEW) < set(market.symbols)
    for day in (LOTS_DAY, SHARES_DAY):
        states = {quote.state for symbol in FEW for quote in market.quotes(symbol, day)}
        assert {"one_sided", "locked", "crossed", "zero_size"} <= states
    minutes = {trade.ts_ns // MINUTE_NS for trade in market.trades("BA", days[0])}
    assert len(minutes) < 390, "minutes without a trade"


def intervals(*wanted: Interval) -> list[object]:
    """Every subject with those of some intervals that it has, and what they can be adjusted for at least."""
    kinds = {subject.name: reachable(subject.access) for subject in SUBJECTS}
    return [
        pytest.param(subject, interval, min(found), id=f"{subject.name}-{interval}")
        for subject in SUBJECTS
        for interval in wanted
        if (found := {kind for has, kind, _ in kinds[subject.name] if has == interval})
    ]


@pytest.mark.parametrize(("subject", "interval", "adjustment"), intervals(*INTERVALS))
async def test_windows_that_cut_through_bars(
    client: Provider, subject: Subject, truth: Truth, interval: Interval, adjustment: Adjustment
) -> None:
    if interval == "1d":
        start = midnight_ns(date(2025, 11, 4))
        windows = [
            (start, start + 1),
            (start + 1, midnight_ns(date(2025, 11, 5))),
            (start - 1, start),
            # from within one day to within another, over a weekend; before and after the change of clocks
            (at(date(2025, 11, 4), 10), at(date(2025, 11, 11), 10, ns=1)),
            (at(date(2025, 10, 31), 0), at(date(2025, 11, 3), 0)),
            (at(date(2025, 10, 31), 0, ns=1), at(date(2025, 11, 3), 0, ns=1)),
            (at(date(2025, 11, 2), 0), at(date(2025, 11, 4), 23, 59)),
            # the dates of New York and of UTC differ
            (at(date(2025, 11, 5), 20), at(date(2025, 11, 6), 20)),
        ]
    else:
        length = HOURS[interval] * MINUTE_NS
        row = truth.bars(["AAPL"], interval, (at(SHARES_DAY, 11), at(SHARES_DAY, 15)), adjustment)[0]
        start = row.ts_event
        windows = [
            (start, start + 1),
            (start + 1, start + length),
            (start + 1, start + length + 1),
            (start - 1, start),
            (start, start + length),
            (start - length // 2, start + length // 2),
            (start + length // 3, start + 7 * length + length // 3),
            (start + 7 * SECOND_NS + 7, start + 7 * SECOND_NS + 8),
            # the end of the day, which is already the next one in UTC, and its beginning
            (at(SHARES_DAY, 18, 59, ns=999), at(SHARES_DAY, 20)),
            (at(SHARES_DAY, 19), at(date(2025, 11, 4), 9, 31, ns=1)),
            (at(LOTS_DAY, 15, 30), at(SHARES_DAY, 9, 40)),
            (at(HALF_DAY, 12, 59), at(HALF_DAY, 17, 1)),
        ]
    for window in windows:
        wanted = truth.bars(FEW, interval, window, adjustment)
        result = await client.bars(BarsRequest(FEW, interval, *window, adjustment))
        assert not first_difference(result.rows, wanted), window
        assert result.covered_ns == window
        found = {row.symbol for row in wanted}
        assert result.missing == tuple(symbol for symbol in FEW if symbol not in found)


@pytest.mark.parametrize(("subject", "interval", "adjustment"), intervals("1m", "30m", "1h"))
async def test_regular_hours_only(
    client: Provider, subject: Subject, truth: Truth, interval: Interval, adjustment: Adjustment
) -> None:
    for day in (LOTS_DAY, SHARES_DAY, HALF_DAY):
        window = midnight_ns(day), midnight_ns(day) + 24 * 60 * MINUTE_NS
        wanted = truth.bars(FEW, interval, window, adjustment, NOW_NS, extended=False)
        result = await client.bars(BarsRequest(FEW, interval, *window, adjustment, extended_hours=False))
        assert not first_difference(result.rows, wanted)
        assert wanted


@pytest.mark.parametrize(("subject", "interval", "adjustment"), intervals("1m", "5m", "1d"))
async def test_parts_that_meet_within_a_session(
    client: Provider, subject: Subject, truth: Truth, interval: Interval, adjustment: Adjustment
) -> None:
    # parts of 9 days meet in the middle of the 18th and of a bar, those of 12 at the midnight of the 28th
    start = midnight_ns(date(2025, 11, 4)) if interval == "1d" else at(LOTS_DAY, 12, 17, ns=30 * SECOND_NS)
    window = start, MONTH[1]
    wanted = truth.bars(FEW, interval, window, adjustment)
    result = await client.bars(BarsRequest(FEW, interval, *window, adjustment))
    assert not first_difference(result.rows, wanted)


async def test_tiingo_cuts_an_answer(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    # it keeps the latest bars and does not say that there were more: here it cuts within the second session
    window = MONTH[0], midnight_ns(date(2025, 11, 15))
    wanted = Truth(emulator.views, TIINGO).bars(["BRK.B"], "15m", window)
    second = wanted[0].ts_event + 3 * 24 * 60 * MINUTE_NS
    fit = sum(1 for row in wanted if row.ts_event > second + 6 * 60 * MINUTE_NS)
    monkeypatch.setattr(tiingo, "MOST_POINTS", fit)
    assert wanted[-fit].ts_event < midnight_ns(date(2025, 11, 4))
    async with closing(TIINGO.make(door_of(emulator, TIINGO))) as client:
        result = await client.bars(BarsRequest(("BRK.B",), "15m", *window))
    assert not first_difference(result.rows, wanted)
    assert result.requests > 1


@pytest.mark.parametrize(
    "window",
    [
        pytest.param((at(date(2025, 11, 8), 0), at(date(2025, 11, 10), 0)), id="weekend"),
        pytest.param((at(date(2025, 11, 27), 0), at(date(2025, 11, 28), 0)), id="holiday"),
        pytest.param((at(date(2025, 11, 4), 20), at(date(2025, 11, 4), 23, 59)), id="night"),
    ],
)
async def test_nothing_is_a_success(client: Provider, subject: Subject, window: Window) -> None:
    intervals: tuple[Interval, ...] = ("1m", "1d")
    for interval in intervals:
        adjustment: Adjustment = "split" if subject.vendor == "finnhub" and interval == "1d" else "raw"
        result = await client.bars(BarsRequest(FEW, interval, *window, adjustment))
        assert result.rows == []
        assert result.missing == FEW
        assert result.covered_ns == window
    if can_serve(subject.access, QuotesRequest(FEW, *window), now_ns=NOW_NS) is None:
        quotes = await client.quotes(QuotesRequest(FEW, *window))
        assert quotes.rows == []
        assert quotes.missing == FEW
        assert quotes.covered_ns == window


@pytest.mark.parametrize(
    ("subject", "kind"),
    [
        pytest.param(subject, kind, id=f"{subject.name}-{kind}")
        for subject in SUBJECTS
        for kind in ("bars", "days", "latest", "window")
        if (subject, kind) != (TIINGO, "window")
    ],
)
async def test_an_unknown_symbol_among_known_ones(
    client: Provider, subject: Subject, emulator: Emulator, kind: str
) -> None:
    window = at(SHARES_DAY, 0), at(SHARES_DAY, 10)
    adjustment: Adjustment = "split" if subject.vendor == "finnhub" and kind == "days" else "raw"

    async def ask(symbols: tuple[str, ...]) -> tuple[object, tuple[str, ...]]:
        if kind in ("bars", "days"):
            interval: Interval = "1d" if kind == "days" else "1m"
            bars = await client.bars(BarsRequest(symbols, interval, *window, adjustment))
            return bars.rows, bars.missing
        bounds = window if kind == "window" else (None, None)
        quotes = await client.quotes(QuotesRequest(symbols, *bounds))
        return quotes.rows, quotes.missing

    before = len(emulator.log.of(subject.vendor))
    known, silent = await ask(("BRK.B", "AAPL"))
    asked = " ".join(one.path for one in emulator.log.of(subject.vendor)[before:])
    # whether the emulator minds or not, that is how the vendor spells it
    assert ("brk-b" if subject is TIINGO else "brk.b") in asked.lower()
    assert ("brk.b" if subject is TIINGO else "brk-b") not in asked.lower()
    assert await ask(("BRK.B", "NOPE", "AAPL")) == (known, (*silent[:1], "NOPE", *silent[1:]))
    if kind in subject.unknown_raises:
        with pytest.raises(NotFound):
            await ask(("NOPE", "NO.PE"))
    else:
        assert await ask(("NOPE", "NO.PE")) == ([], ("NOPE", "NO.PE"))
