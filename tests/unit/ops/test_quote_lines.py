"""Repeats on the topic of quotes: what is new and what has been there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.quote_lines import QuoteLine, Repeats, decode
from schemas.errors import Poison
from schemas.quote import L1Quote, Marker, encode_quote

NOW_NS = 1_762_795_433_971_744_500


def quote(n: int, symbol: str = "AAPL") -> QuoteLine:
    return QuoteLine(NOW_NS, symbol=symbol, n=n)


@given(st.lists(st.integers(1, 30), max_size=20))
def test_whatever_workers_repeat_each_quote_is_new_once_and_in_order(kills):
    """A worker that takes over publishes again from some earlier number on."""
    published: list[int] = []
    end = 0
    for kill in kills:
        begin = max(1, end - kill % 7)
        end = max(end, begin + kill - 1)
        published += range(begin, end + 1)
    repeats = Repeats()
    assert [n for n in published if repeats.is_new(0, b"", quote(n))] == list(range(1, end + 1))
    assert repeats.dropped == len(published) - end


def test_partitions_and_symbols_are_counted_apart():
    repeats = Repeats()
    assert repeats.is_new(0, b"", quote(5))
    assert repeats.is_new(0, b"", quote(5, "MSFT"))
    assert repeats.is_new(1, b"", quote(5)), "its producer may have moved the symbol"
    assert not repeats.is_new(0, b"", quote(4))


def test_numbers_begin_anew_after_a_marker_of_no_provider_and_only_then():
    repeats = Repeats()
    feed = decode(encode_quote(Marker(NOW_NS, "connection lost", "polygon")))
    reset = decode(encode_quote(Marker(NOW_NS, "position reset")))
    assert repeats.is_new(0, b"", quote(5))
    assert repeats.is_new(0, b"marker|0|17", feed)
    assert not repeats.is_new(0, b"", quote(5))
    assert repeats.is_new(0, b"marker|0|20.start", reset)
    assert repeats.is_new(0, b"", quote(1))
    # a repeat of it, and of what followed
    assert not repeats.is_new(0, b"marker|0|20.start", reset)
    assert not repeats.is_new(0, b"", quote(1))
    assert repeats.is_new(0, b"", quote(2))


def test_what_a_worker_writes_is_read():
    line = decode(encode_quote(L1Quote("AAPL", NOW_NS, 3, "polygon", 1.5, ask=2.0, flags=("stale",))))
    assert (line.symbol, line.n, line.bid, line.bid_size, line.ask, line.flags, line.is_marker) == (
        "AAPL", 3, 1.5, None, 2.0, ("stale",), False,
    )  # fmt: skip
    line = decode(encode_quote(Marker(NOW_NS, "mute", "polygon", "sip", NOW_NS - 1)))
    assert (line.is_marker, line.begins_anew, line.reason, line.ts_from) == (True, False, "mute", NOW_NS - 1)


@pytest.mark.parametrize(
    "value",
    [None, b"", b"{", b"[]", b"{}", b'{"ts_event": 1}', b'{"ts_event": 1, "symbol": "AAPL"}',
     b'{"ts_event": 1, "symbol": "AAPL", "n": 0}', b'{"ts_event": 1, "symbol": "AAPL", "n": "1"}',
     b'{"ts_event": 1, "symbol": "AAPL", "n": 1, "type": "clock"}', b"\xff"],
)  # fmt: skip
def test_anything_else_is_told(value):
    with pytest.raises(Poison):
        decode(value)
