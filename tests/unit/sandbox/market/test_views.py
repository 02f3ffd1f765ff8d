"""What each vendor sees, and when it sees it."""

from __future__ import annotations

from datetime import date

import pytest

from sandbox.market.bar_rule import ALPACA_SIP, POLYGON
from sandbox.market.calendar import MINUTE_NS, SECOND_NS, midnight_ns
from sandbox.market.conditions import Sale
from sandbox.market.market import Market
from sandbox.market.records import Amendment, Trade
from sandbox.market.views import Row, Views, lots

DAY = date(2025, 11, 12)
HOUR_NS = 60 * MINUTE_NS


@pytest.fixture(scope="module")
def views() -> Views:
    return Views(Market())


def minute_of(trade: Trade) -> int:
    return trade.ts_ns - trade.ts_ns % MINUTE_NS


def late(views: Views, low_s: float, high_s: float, symbol: str = "AAPL") -> Trade:
    found = views.market.trades(symbol, DAY)
    return next(
        t
        for t in found
        if Sale.OUT_OF_SEQUENCE in t.sales and low_s < (t.arrival_ns - t.ts_ns) / SECOND_NS < high_s
    )


def said(views: Views, kind: str) -> Amendment:
    return next(a for a in views.market.amendments("AAPL", DAY) if a.kind == kind)


def row(views: Views, vendor: str, start: int, now: int) -> Row | None:
    return views.minute_row(vendor, "sip" if vendor == "alpaca" else "", "AAPL", start, now)  # type: ignore[arg-type]


def test_a_bar_comes_out_when_its_minute_is_over(views: Views) -> None:
    session = views.market.session(DAY)
    assert session is not None
    start, end = session.open_ns, session.open_ns + 10 * MINUTE_NS
    before = views.bars("polygon", "", "AAPL", "1m", start, end, "raw", start + 2 * MINUTE_NS - 1)
    after = views.bars("polygon", "", "AAPL", "1m", start, end, "raw", start + 2 * MINUTE_NS)
    assert [bar.ts_ns for bar in before] == [start]
    assert [bar.ts_ns for bar in after] == [start, start + MINUTE_NS]


def test_a_late_print_changes_its_minute_when_it_lands(views: Views) -> None:
    print_ = late(views, 30, 890)
    start = minute_of(print_)
    before = row(views, "polygon", start, print_.arrival_ns - 1)
    after = row(views, "polygon", start, print_.arrival_ns)
    assert before is not None
    assert after is not None
    assert round(after.volume - before.volume, 6) == print_.size


def test_a_print_later_than_a_quarter_of_an_hour_waits_for_the_rebuild(views: Views) -> None:
    print_ = late(views, 900, 4000)
    start, session = minute_of(print_), views.market.session(DAY)
    assert session is not None
    evening = session.post_ns + 10 * MINUTE_NS
    assert row(views, "polygon", start, print_.arrival_ns - 1) == row(views, "polygon", start, evening)
    rebuilt = views.minutes(POLYGON, "AAPL", session)
    bar = next(bar for bar in rebuilt if bar.ts_ns == start)
    before = row(views, "polygon", start, evening)
    assert before is not None
    assert round(bar.volume - before.volume, 6) == print_.size


def test_a_bust_takes_the_high_back_at_once_or_in_the_evening(views: Views) -> None:
    bust, session = said(views, "bust"), views.market.session(DAY)
    assert session is not None
    start = minute_of(bust.original)
    for vendor, later_than_bust in (("alpaca", False), ("polygon", True)):
        before = row(views, vendor, start, bust.at_ns - 1)
        after = row(views, vendor, start, bust.at_ns)
        assert before is not None
        assert before.high == bust.original.price
        assert (after is not None and after.high == before.high) is later_than_bust
    final = views.bars("polygon", "", "AAPL", "1m", start, start + 1)
    assert not final or final[0].high < bust.original.price


def test_a_correction_replaces_price_and_size(views: Views) -> None:
    correction = said(views, "correction")
    session = views.market.session(DAY)
    assert session is not None
    now = views.seen(ALPACA_SIP, "AAPL", session, correction.at_ns)
    ids = {trade.trade_id for trade in now}
    assert correction.corrected in now
    assert correction.original.trade_id not in ids


def test_the_days_bar_is_that_of_regular_hours_and_the_closing_cross(views: Views) -> None:
    at = midnight_ns(DAY)
    (bar,) = views.bars("polygon", "", "AAPL", "1d", at, at + 1)
    trades = views.market.trades("AAPL", DAY)
    assert bar.open == next(t.price for t in trades if Sale.OPENING in t.sales)
    assert bar.close == next(t.price for t in trades if Sale.CLOSING in t.sales)
    minutes = views.bars("polygon", "", "AAPL", "1m", at, at + 24 * HOUR_NS)
    assert bar.volume > sum(row.volume for row in minutes)  # volume without a bar to live in


def test_today_is_partial(views: Views) -> None:
    session = views.market.session(DAY)
    assert session is not None
    at, noon = midnight_ns(DAY), session.open_ns + 150 * MINUTE_NS
    (partial,) = views.bars("polygon", "", "AAPL", "1d", at, at + 1, "raw", noon)
    (whole,) = views.bars("polygon", "", "AAPL", "1d", at, at + 1)
    assert partial.volume < whole.volume
    assert partial.open == whole.open


def test_a_split_adjusts_what_was_before_it_once_it_is_known(views: Views) -> None:
    (split,) = views.market.splits_of("TSLA")
    before = views.market.previous_session(split.day)
    assert before is not None
    at = midnight_ns(before.day)

    def close(adjustment: str, now: int) -> tuple[float, float]:
        (bar,) = views.bars("polygon", "", "TSLA", "1d", at, at + 1, adjustment, now)  # type: ignore[arg-type]
        return bar.close, bar.volume

    eve = midnight_ns(split.day) - 1
    raw, volume = close("raw", eve)
    assert close("split", eve) == (raw, volume)
    adjusted, more = close("split", midnight_ns(split.day))
    assert adjusted == pytest.approx(raw / 4, abs=1e-4)
    assert more == pytest.approx(volume * 4, abs=1e-5)


def test_a_dividend_is_in_all_but_not_in_split(views: Views) -> None:
    (dividend,) = views.market.dividends_of("MSFT")
    before = views.market.previous_session(dividend.day)
    assert before is not None
    at = midnight_ns(before.day)
    raw, split, everything = (
        views.bars("alpaca", "sip", "MSFT", "1d", at, at + 1, adjustment)[0].close
        for adjustment in ("raw", "split", "all")
    )
    assert raw == split
    assert everything == pytest.approx(raw * (1 - dividend.cash / dividend.previous_close), abs=1e-4)


def test_iex_is_a_small_part_of_the_market(views: Views) -> None:
    at = midnight_ns(DAY)
    (sip,) = views.bars("alpaca", "sip", "AAPL", "1d", at, at + 1)
    (iex,) = views.bars("alpaca", "iex", "AAPL", "1d", at, at + 1)
    assert 0.01 < iex.volume / sip.volume < 0.1


def test_longer_bars_are_made_of_minutes(views: Views) -> None:
    session = views.market.session(DAY)
    assert session is not None
    start, end = session.open_ns, session.close_ns
    minutes = views.bars("polygon", "", "AAPL", "1m", start, end)
    hours = views.bars("polygon", "", "AAPL", "1h", start - 30 * MINUTE_NS, end)
    assert hours[0].ts_ns == start - 30 * MINUTE_NS
    inside = [bar for bar in minutes if hours[1].ts_ns <= bar.ts_ns < hours[1].ts_ns + HOUR_NS]
    assert (hours[1].open, hours[1].close) == (inside[0].open, inside[-1].close)
    assert hours[1].high == max(bar.high for bar in inside)
    assert hours[1].volume == pytest.approx(sum(bar.volume for bar in inside))
    assert hours[1].count == sum(bar.count for bar in inside)


def test_quotes_are_in_lots_until_the_change() -> None:
    change = midnight_ns(date(2025, 11, 3))
    assert (lots(700, change - 1), lots(700, change)) == (7, 700)


def test_a_month_of_rows_obeys_the_invariants(views: Views) -> None:
    start = midnight_ns(date(2025, 11, 1))
    rows = views.bars("alpaca", "sip", "BRK.B", "1m", start, start + 30 * 24 * HOUR_NS)
    assert len(rows) > 4000
    for bar in rows:
        assert 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert bar.volume > 0
        assert bar.ts_ns % MINUTE_NS == 0
    assert len({bar.ts_ns for bar in rows}) == len(rows)
