"""The candle and its twin for the hot path."""

from __future__ import annotations

import json
from typing import Any, get_type_hints

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.base import EARLIEST_NS, LATEST_NS
from schemas.candle import INTERVAL, Bar, Candle, encode_bar

PROPERTY = settings(max_examples=150, deadline=None)
_NAMES = st.from_regex("[a-z][a-z0-9_-]{0,31}", fullmatch=True)
_PRICES = st.floats(5e-324, 1e12)
BARS = st.builds(
    Bar,
    symbol=st.from_regex(r"[A-Z0-9^][A-Z0-9.:/=^+_#$&-]{0,31}", fullmatch=True),
    interval=st.sampled_from(("1m", "5m", "1h")),
    ts_event=st.integers(EARLIEST_NS, LATEST_NS - 1),
    open=_PRICES,
    high=_PRICES,
    low=_PRICES,
    close=_PRICES,
    volume=st.floats(1e-9, 1e18),
    vwap=_PRICES,
    trade_count=st.integers(1, 2**63 - 1),
    provider=_NAMES,
    feed=st.just("") | _NAMES,
    rule=st.just("all_trades.v1"),
    revision=st.integers(0, 2**31 - 1),
    is_final=st.booleans(),
)


def test_the_twins_have_the_same_fields() -> None:
    assert list(Bar.__struct_fields__) == list(Candle.model_fields)
    hints = get_type_hints(Bar)
    assert {name: hints[name] for name in Bar.__struct_fields__} == {
        name: field.annotation for name, field in Candle.model_fields.items()
    }


@PROPERTY
@given(BARS)
def test_what_is_published_is_a_candle(bar: Bar) -> None:
    candle = Candle.model_validate_json(encode_bar(bar))
    assert dict(candle) == msgspec.structs.asdict(bar)


@PROPERTY
@given(BARS)
def test_any_json_reader_gets_the_same_floats(bar: Bar) -> None:
    assert json.loads(encode_bar(bar)) == msgspec.structs.asdict(bar)


def test_readers_ignore_what_a_newer_tapeflow_adds() -> None:
    value = msgspec.structs.asdict(a_bar()) | {"surprise": 1}
    assert Candle.model_validate_json(json.dumps(value)).symbol == "AAPL"


def a_bar(**changes: Any) -> Bar:
    values: dict[str, Any] = {
        "symbol": "AAPL",
        "interval": INTERVAL,
        "ts_event": 1_700_000_040_000_000_000,
        "open": 1.0,
        "high": 2.0,
        "low": 0.5,
        "close": 1.5,
        "volume": 9.0,
        "vwap": 1.2,
        "trade_count": 3,
        "provider": "polygon",
        "feed": "sip",
        "rule": "all_trades.v1",
        "revision": 0,
        "is_final": True,
    }
    return Bar(**(values | changes))


#: few values, so that two of them are often of one version, or nearly
ALIKE = st.builds(
    a_bar,
    symbol=st.sampled_from(("A", "A.B", "1M")),
    interval=st.sampled_from(("1m", "11m")),
    ts_event=st.sampled_from((1_700_000_040_000_000_000, 1_700_000_100_000_000_000)),
    provider=st.sampled_from(("a", "a-b")),
    feed=st.sampled_from(("", "b")),
    revision=st.sampled_from((0, 1, 11)),
    is_final=st.booleans(),
    close=st.sampled_from((1.0, 2.0)),
)


class TestId:
    def test_reads(self) -> None:
        assert a_bar().id == "AAPL|1m|1700000040000000000|polygon.sip|r0"
        assert a_bar(feed="").id == "AAPL|1m|1700000040000000000|polygon|r0"
        assert a_bar(is_final=False, revision=3).id == "AAPL|1m|1700000040000000000|polygon.sip|p3"

    def test_is_another_for_every_other_version(self) -> None:
        bars = [
            a_bar(**changes)
            for changes in (
                {},
                {"symbol": "MSFT"},
                {"interval": "5m"},
                {"ts_event": 1_700_000_100_000_000_000},
                {"provider": "polygonsip", "feed": ""},
                {"provider": "polygon", "feed": ""},
                {"revision": 1},
                {"is_final": False},
                {"is_final": False, "revision": 1},
            )
        ]
        assert len({bar.id for bar in bars}) == len(bars)

    @PROPERTY
    @given(ALIKE, ALIKE)
    def test_names_one_version_only(self, one: Bar, other: Bar) -> None:
        assert (one.id == other.id) == (version_of(one) == version_of(other))

    def test_is_the_same_whatever_the_numbers(self) -> None:
        assert a_bar().id == a_bar(close=9.9, trade_count=7).id


def version_of(bar: Bar) -> tuple[object, ...]:
    return (bar.symbol, bar.interval, bar.ts_event, bar.provider, bar.feed, bar.revision, bar.is_final)
