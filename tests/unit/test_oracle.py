"""The oracle against numbers worked out by hand: what judges the worker must itself be right."""

from __future__ import annotations

import json

import pytest

from tests.oracle import HORIZON, LATENESS, MINUTE, SECOND, Input, Version, read, work_out
from tests.poison import HARMLESS, POISON, TS, Harmless, Specimen, a_clock, a_tick
from tests.poison import MINUTE as START

#: a day later: nothing is in the future
RECEIVED_MS = TS // 1_000_000 + 86_400_000


def records(*values: bytes | None) -> list[Input]:
    return [Input(0, offset, b"AAPL", value, (), RECEIVED_MS) for offset, value in enumerate(values)]


def tick(at_s: float, price: float = 10.0, size: float = 1.0, **changes: object) -> bytes:
    ts_event = START + round(at_s * SECOND)
    return a_tick(ts_event=ts_event, price=price, size=size, **changes)


def clock(at_s: float) -> bytes:
    return a_clock(ts_event=START + round(at_s * SECOND))


def versions(*values: bytes | None) -> list[Version]:
    truth = work_out(records(*values))
    return sorted((v for _, v in truth.versions.values()), key=lambda v: (v.ts, v.provider, v.revision))


@pytest.mark.parametrize("specimen", POISON, ids=lambda s: s.name)
def test_reads_poison(specimen: Specimen) -> None:
    assert read(specimen.value, RECEIVED_MS) == specimen.reason.value


@pytest.mark.parametrize("harmless", HARMLESS, ids=lambda h: h.name)
def test_reads_what_is_harmless(harmless: Harmless) -> None:
    said = read(harmless.value, RECEIVED_MS)
    assert isinstance(said, dict)
    assert {name: getattr(harmless.trade, name) for name in said} == said


def test_a_bar_of_four_trades() -> None:
    (bar,) = versions(tick(1, 10, 1), tick(3, 12, 2), tick(2, 9, 0.5), tick(2.5, 11, 0.5), clock(62))
    assert bar == Version("AAPL", START, "polygon", "sip", 0, 10, 12, 9, 12, 4.0, 11.0, 4)
    assert bar.id == f"AAPL|1m|{START}|polygon.sip|r0"


def test_of_equal_times_the_first_opens_and_the_last_closes() -> None:
    (bar,) = versions(tick(1, 10), tick(1, 11), tick(1, 12), clock(62))
    assert (bar.open, bar.close) == (10, 12)


def test_sizes_add_up_in_decimals() -> None:
    (bar,) = versions(*[tick(1, 10, 0.1)] * 10, clock(62))
    assert bar.volume == 1.0
    assert sum([0.1] * 10) != 1.0


def test_closes_when_the_event_time_says_so() -> None:
    nearly = (LATENESS + MINUTE) / SECOND
    assert not versions(tick(0), clock(nearly - 1e-9))
    assert len(versions(tick(0), clock(nearly))) == 1
    assert len(versions(tick(0), tick(nearly))) == 1


def test_late_trades_revise_up_to_the_horizon() -> None:
    expiry = (MINUTE + LATENESS + HORIZON) / SECOND
    values = [
        tick(1, 10),
        clock(62),
        tick(2, 11),
        clock(expiry - 1e-9),
        tick(3, 12),
        clock(expiry),
        tick(4, 13),
    ]
    truth = work_out(records(*values))
    closes = [(v.revision, v.close, v.trade_count) for _, v in truth.versions.values()]
    assert closes == [(0, 10, 1), (1, 11, 2), (2, 12, 3)]
    assert truth.dead == {(0, 6): "expired"}
    assert (truth.records, truth.trades, truth.clocks, truth.open_trades) == (7, 3, 3, 0)


def test_a_bar_of_late_trades_alone_starts_at_revision_0() -> None:
    first, second = versions(clock(62), tick(1, 10), tick(2, 11))
    assert (first.revision, first.trade_count, second.revision, second.trade_count) == (0, 1, 1, 2)


def test_sources_are_not_mixed_and_one_of_them_is_in_the_table() -> None:
    values = (tick(1, 10), tick(1, 20, provider="alpaca"), tick(1, 30, feed=""), clock(62))
    truth = work_out(records(*values))
    assert {v.open for _, v in truth.versions.values()} == {10, 20, 30}
    place = "AAPL", START
    # by name, then by feed: polygon.sip before polygon before alpaca
    assert truth.table({})[place].open == 10
    assert truth.table({"alpaca": 1})[place].open == 20
    assert truth.table({"alpaca": 1, "polygon": 2})[place].open == 10


def test_partitions_have_a_time_each() -> None:
    ahead = Input(1, 0, b"MSFT", tick(3_600, symbol="MSFT"), (), RECEIVED_MS)
    truth = work_out([ahead, *records(tick(1), tick(2))])
    assert (truth.dead, truth.versions, truth.open_trades) == ({}, {}, 3)


def test_refuses_a_symbol_in_two_partitions() -> None:
    with pytest.raises(AssertionError, match="two partitions"):
        work_out([*records(tick(1)), Input(1, 0, b"AAPL", tick(1), (), RECEIVED_MS)])


@pytest.mark.parametrize(("ahead_ms", "reason"), [(60_000, None), (60_001, "future")])
def test_a_minute_ahead_of_the_broker_is_believed(ahead_ms: int, reason: str | None) -> None:
    for value in (a_tick(ts_event=TS), a_clock(ts_event=TS)):
        said = read(value, TS // 1_000_000 - ahead_ms)
        assert said == (reason or json.loads(value))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (r'["\ud800"]', "deserialize"),
        (r'{"x":[0,"\udc00"]}', "deserialize"),
        (r'"\ud800\ud800"', "deserialize"),
        (r'"\ud83d\ude00"', "schema"),
        (r'"\\ud800"', "schema"),
        (r'"\u00e9"', "schema"),
        ("[" * 201 + "]" * 201, "schema"),
        ("[" * 202 + "]" * 202, "deserialize"),
        ('"' + "[" * 300 + '"', "schema"),
    ],
)
def test_where_pythons_json_is_kinder_than_others(text: str, reason: str) -> None:
    assert read(text.encode(), RECEIVED_MS) == reason
