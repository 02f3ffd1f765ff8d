"""Alpaca's feeds: the vendor's frames in both formats, to the nanosecond, and its error codes."""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import Ext

from providers.alpaca.config import AlpacaConfig
from providers.alpaca.stream import AlpacaDialogue, StreamFeed
from providers.base import BarRow
from providers.dialogue import Frame, Heard, Item, Refused, Unreadable, What
from providers.rfc3339 import to_ns
from schemas.base import EARLIEST_NS, LATEST_NS
from schemas.correction import TradeCancel, TradeCorrection
from schemas.errors import (
    AuthFailed,
    BadRequest,
    EntitlementMissing,
    ProviderAway,
    ProviderError,
    RateLimited,
)
from schemas.quote import RawQuote
from schemas.trade import Trade

AT = 1_764_000_000_123_456_789
CONFIG = AlpacaConfig(key_id="K", secret="S")
CONNECTED = [{"T": "success", "msg": "connected"}]
AUTHENTICATED = [{"T": "success", "msg": "authenticated"}]
TRADE: dict[str, Any] = {
    "T": "t",
    "S": "AAPL",
    "i": 96921,
    "x": "D",
    "p": 126.55,
    "s": 1,
    "c": ["@", "I"],
    "z": "C",
    "t": "2021-02-22T15:51:44.208Z",
}
QUOTE: dict[str, Any] = {
    "T": "q",
    "S": "AMD",
    "bx": "U",
    "bp": 87.66,
    "bs": 1,
    "ax": "Q",
    "ap": 87.68,
    "as": 4,
    "c": ["R"],
    "z": "C",
    "t": "2021-02-22T15:51:45.335689322Z",
}
BAR: dict[str, Any] = {
    "T": "b",
    "S": "SPY",
    "o": 388.985,
    "h": 389.13,
    "l": 388.975,
    "c": 389.12,
    "v": 49378,
    "n": 461,
    "vw": 389.062639,
    "t": "2021-02-22T19:15:00Z",
}


def dialogue(
    *symbols: str, what: tuple[What, ...] = ("trades", "quotes"), binary: bool = False
) -> AlpacaDialogue:
    return AlpacaDialogue(CONFIG, symbols or ("AAPL",), what, binary=binary)


def text(*messages: Any) -> str:
    return msgspec.json.encode(messages).decode()


def packed(*messages: dict[str, Any]) -> bytes:
    """Return MessagePack as alpaca's servers send it: times as the format's own type."""

    def stamped(message: dict[str, Any]) -> dict[str, Any]:
        return message | ({"t": timestamp(to_ns(message["t"]))} if "t" in message else {})

    return msgspec.msgpack.encode([stamped(message) for message in messages])


def timestamp(ns: int, size: int | None = None) -> Ext:
    seconds, nanos = divmod(ns, 1_000_000_000)
    size = size or (8 if nanos else 4)
    if size == 4:
        return Ext(-1, struct.pack(">I", seconds))
    if size == 8:
        return Ext(-1, struct.pack(">Q", nanos << 34 | seconds))
    return Ext(-1, struct.pack(">Iq", nanos, seconds))


def hear(binary: bool, *messages: dict[str, Any]) -> list[Item]:
    frame: Frame = packed(*messages) if binary else text(*messages)
    return dialogue(binary=binary).hear(frame, AT).items


@pytest.mark.parametrize("binary", [False, True])
def test_the_way_from_greeting_to_live(binary: bool) -> None:
    def said(heard: Heard) -> list[Any]:
        return [(msgspec.msgpack if binary else msgspec.json).decode(frame) for frame in heard.replies]

    def frame(messages: list[dict[str, Any]]) -> Frame:
        return msgspec.msgpack.encode(messages) if binary else text(*messages)

    talk = dialogue("AAPL", "BRK.B", binary=binary)
    assert talk.headers == ({"Content-Type": "application/msgpack"} if binary else {})
    assert talk.url().get_secret_value() == "wss://stream.data.alpaca.markets/v2/sip"
    assert said(talk.hear(frame(CONNECTED), AT)) == [{"action": "auth", "key": "K", "secret": "S"}]
    assert talk.missing == "login"
    symbols = ["AAPL", "BRK.B"]
    heard = talk.hear(frame(AUTHENTICATED), AT)
    assert said(heard) == [{"action": "subscribe", "trades": symbols, "quotes": symbols}]
    assert talk.missing == "4 subscriptions"
    # another client's words: what is confirmed is what counts
    talk.hear(frame([{"T": "subscription", "trades": ["AAPL"], "quotes": symbols, "bars": None}]), AT)
    assert (talk.live, talk.missing) == (False, "1 subscriptions")
    talk.hear(frame([{"T": "subscription", "trades": ["BRK.B", "AAPL"], "quotes": symbols, "bars": []}]), AT)
    assert talk.live


def test_many_symbols_are_subscribed_in_frames_that_alpaca_takes() -> None:
    symbols = [f"SYMB.{n:05}" for n in range(1_200)]
    talk = dialogue(*symbols, what=("trades", "bars"))
    replies = talk.hear(text(*AUTHENTICATED), AT).replies
    messages = [msgspec.json.decode(frame) for frame in replies]
    assert [len(m["trades"]) for m in messages] == [500, 500, 200]
    assert set(messages[0]) == {"action", "trades", "bars", "updatedBars", "dailyBars"}
    assert [s for m in messages for s in m["dailyBars"]] == symbols


@pytest.mark.parametrize("binary", [False, True])
def test_a_trade(binary: bool) -> None:
    assert hear(binary, TRADE) == [
        Trade(
            symbol="AAPL",
            ts_event=1_614_009_104_208_000_000,
            price=126.55,
            size=1.0,
            provider="alpaca",
            feed="sip",
            venue="D",
            conditions="@I",
            tape="C",
            trade_id="96921",
            ts_recv=AT,
        )
    ]


@pytest.mark.parametrize("binary", [False, True])
def test_a_quote_of_2021_counts_in_round_lots_and_is_exact_to_the_nanosecond(binary: bool) -> None:
    assert hear(binary, QUOTE) == [
        RawQuote(
            symbol="AMD",
            ts_event=1_614_009_105_335_689_322,
            provider="alpaca",
            bid=87.66,
            bid_size=100.0,
            ask=87.68,
            ask_size=400.0,
            feed="sip",
            bid_venue="U",
            ask_venue="Q",
            conditions="R",
            tape="C",
            ts_recv=AT,
        )
    ]


@pytest.mark.parametrize("binary", [False, True])
def test_a_side_of_price_0_is_not_there_and_its_venue_neither(binary: bool) -> None:
    (quote,) = hear(binary, QUOTE | {"bp": 0, "bs": 0, "bx": " ", "t": "2026-01-05T15:00:00Z"})
    assert isinstance(quote, RawQuote)
    assert (quote.bid, quote.bid_size, quote.bid_venue) == (None, None, "")
    assert (quote.ask, quote.ask_size) == (87.68, 4.0)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("kind", ["b", "u", "d"])
def test_bars(binary: bool, kind: str) -> None:
    at = "2021-02-22T05:00:00Z" if kind == "d" else BAR["t"]
    session = 18_680 if kind == "d" else 0
    row = BarRow("SPY", to_ns(at), 388.985, 389.13, 388.975, 389.12, 49378.0, 389.062639, 461, session)
    assert hear(binary, BAR | {"T": kind, "t": at}) == [row]


@pytest.mark.parametrize("binary", [False, True])
def test_corrections_and_cancels(binary: bool) -> None:
    correction = {
        "T": "c",
        "S": "EEM",
        "x": "M",
        "oi": 52983525033527,
        "op": 39.1582,
        "os": 440000,
        "oc": [" ", "7"],
        "ci": 52983525034326,
        "cp": 39.1809,
        "cs": 440000,
        "cc": [" ", "7"],
        "z": "B",
        "t": "2023-04-06T14:25:06.542305024Z",
    }
    cancel = {
        "T": "x",
        "S": "GOOGL",
        "i": 465,
        "x": "D",
        "p": 105.31,
        "s": 300,
        "a": "C",
        "z": "C",
        "t": "2023-03-06T16:15:31.118542001Z",
    }
    assert hear(binary, correction, cancel) == [
        TradeCorrection(
            type="correction",
            symbol="EEM",
            ts_event=1_680_791_106_542_305_024,
            provider="alpaca",
            feed="sip",
            venue="M",
            tape="B",
            orig_id="52983525033527",
            orig_price=39.1582,
            orig_size=440_000.0,
            trade_id="52983525034326",
            price=39.1809,
            size=440_000.0,
            conditions=" 7",
            ts_recv=AT,
        ),
        TradeCancel(
            type="cancel",
            symbol="GOOGL",
            ts_event=1_678_119_331_118_542_001,
            provider="alpaca",
            feed="sip",
            venue="D",
            tape="C",
            orig_id="465",
            orig_price=105.31,
            orig_size=300.0,
            ts_recv=AT,
        ),
    ]


@given(st.integers(EARLIEST_NS, LATEST_NS - 1), st.sampled_from([8, 12]))
def test_timestamps_of_messagepack_in_every_size(ns: int, size: int) -> None:
    frame = msgspec.msgpack.encode([TRADE | {"t": timestamp(ns, size)}])
    (trade,) = dialogue(binary=True).hear(frame, AT).items
    assert isinstance(trade, Trade)
    assert trade.ts_event == ns


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, BadRequest),
        (401, AuthFailed),
        (402, AuthFailed),
        (403, BadRequest),
        (404, ProviderAway),
        (405, EntitlementMissing),
        (406, RateLimited),
        (407, ProviderAway),
        (408, EntitlementMissing),
        (409, EntitlementMissing),
        (410, BadRequest),
        (411, EntitlementMissing),
        (500, ProviderAway),
        (599, ProviderAway),
    ],
)
def test_errors(code: int, kind: type[ProviderError]) -> None:
    (item,) = hear(False, {"T": "error", "code": code, "msg": "so it is"})
    assert isinstance(item, Refused)
    assert (type(item.error), item.error.code, item.fatal) == (kind, str(code), True)
    assert "so it is" in str(item.error)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"T": "t", "S": "AAPL", "p": "1", "s": 1, "t": "2026-01-05T15:00:00Z"}, "str"),
        ({"T": "t", "S": "AAPL", "s": 1, "t": "2026-01-05T15:00:00Z"}, "p"),
        ({"T": "t", "S": "AAPL", "p": -1, "s": 1, "t": "2026-01-05T15:00:00Z"}, "price"),
        ({"T": "t", "S": "aapl", "p": 1, "s": 1, "t": "2026-01-05T15:00:00Z"}, "symbol"),
        ({"T": "x", "S": "AAPL", "p": -1, "s": 1, "t": "2026-01-05T15:00:00Z"}, "orig_price"),
    ],
)
def test_one_bad_message_does_not_take_the_others_of_its_frame(
    binary: bool, bad: dict[str, Any], reason: str
) -> None:
    first, middle, last = hear(binary, TRADE, bad, TRADE)
    assert isinstance(first, Trade)
    assert first == last
    assert isinstance(middle, Unreadable)
    assert reason in middle.reason


@pytest.mark.parametrize("at", ["yesterday", "2026-01-05T15:00:00", ""])
def test_a_time_that_is_none(at: str) -> None:
    (item,) = hear(False, TRADE | {"t": at})
    assert isinstance(item, Unreadable)


def test_an_extension_that_is_no_time() -> None:
    frame = msgspec.msgpack.encode([TRADE | {"t": Ext(5, b"1234")}])
    (item,) = dialogue(binary=True).hear(frame, AT).items
    assert isinstance(item, Unreadable)
    assert "extension 5" in item.reason


@pytest.mark.parametrize(
    ("binary", "frame"), [(False, "{"), (True, b"\xc1"), (True, "text"), (False, b"\xff")]
)
def test_a_frame_in_no_format_is_one_unreadable_message(binary: bool, frame: Frame) -> None:
    (item,) = dialogue(binary=binary).hear(frame, AT).items
    assert isinstance(item, Unreadable)


def test_kinds_that_nobody_asked_for_are_left_out() -> None:
    assert hear(False, {"T": "s", "S": "AAPL", "sc": "H"}, {"T": "l", "S": "AAPL"}) == []


@pytest.mark.parametrize("feed", ["iex", "delayed_sip", "test"])
def test_each_feed_has_an_address_and_a_name(feed: StreamFeed) -> None:
    talk = AlpacaDialogue(CONFIG, ["AAPL"], ["trades"], feed, binary=False)
    assert talk.url().get_secret_value().endswith(f"/v2/{feed}")
    (trade,) = talk.hear(text(TRADE), AT).items
    assert isinstance(trade, Trade)
    assert trade.feed == feed


def test_the_second_backend_of_iex_is_iex() -> None:
    config = AlpacaConfig(key_id="K", secret="S", provider="iex", feed="iex")
    (trade,) = AlpacaDialogue(config, ["AAPL"], ["trades"], binary=False).hear(text(TRADE), AT).items
    assert isinstance(trade, Trade)
    assert (trade.provider, trade.feed) == ("iex", "iex")
