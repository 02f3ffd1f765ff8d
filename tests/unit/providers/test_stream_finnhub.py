"""Finnhub's feed: trades, prices without a trade, pings, and errors in words alone."""

from __future__ import annotations

import msgspec
import pytest

from providers.dialogue import Heartbeat, Item, PriceUpdate, Refused, Unreadable
from providers.finnhub.config import FinnhubConfig
from providers.finnhub.stream import FinnhubDialogue
from schemas.errors import (
    AuthFailed,
    EntitlementMissing,
    NotFound,
    ProviderAway,
    ProviderError,
    RateLimited,
)
from schemas.trade import Trade

AT = 1_764_000_000_123_456_789
GOOD = '{"s":"AAPL","p":150.1,"t":1575526691134,"v":100,"c":["1","12"]}'


def dialogue(*symbols: str, ws_url: str = "wss://ws.finnhub.io") -> FinnhubDialogue:
    return FinnhubDialogue(FinnhubConfig(key="the key", ws_url=ws_url), symbols or ("AAPL",))


def items(frame: str) -> list[Item]:
    return dialogue().hear(frame, AT).items


def test_it_subscribes_at_once_and_waits_for_nothing() -> None:
    talk = dialogue("AAPL", "BRK.B")
    assert talk.live
    assert [msgspec.json.decode(frame) for frame in talk.opening()] == [
        {"type": "subscribe", "symbol": "AAPL"},
        {"type": "subscribe", "symbol": "BRK.B"},
    ]
    assert [msgspec.json.decode(frame) for frame in talk.again(["BRK.B"])] == [
        {"type": "unsubscribe", "symbol": "BRK.B"},
        {"type": "subscribe", "symbol": "BRK.B"},
    ]


@pytest.mark.parametrize("ws_url", ["wss://ws.finnhub.io", "ws://127.0.0.1:1/?token={key}", "ws://h/p?a=b"])
def test_the_key_is_in_the_url_and_not_in_what_is_shown_of_it(ws_url: str) -> None:
    url = dialogue(ws_url=ws_url).url()
    assert "token=the+key" in url.get_secret_value()
    assert url.get_secret_value().count("token") == 1
    assert "the" not in repr(url)


def test_trades() -> None:
    trade = Trade(
        symbol="AAPL",
        ts_event=1_575_526_691_134_000_000,
        price=150.1,
        size=100.0,
        provider="finnhub",
        feed="iex",
        conditions="@I",
        ts_recv=AT,
    )
    bare = '{"s":"AAPL","p":150.1,"t":1575526691134,"v":0.5}'
    half = msgspec.structs.replace(trade, size=0.5, conditions="")
    assert items(f'{{"type":"trade","data":[{GOOD},{bare}]}}') == [trade, half]
    assert items('{"type":"trade","data":[{"s":"AAPL","p":150.1,"t":1575526691134,"v":0.5,"c":null}]}') == [
        half
    ]


def test_volume_0_is_a_price_and_no_trade() -> None:
    assert items('{"type":"trade","data":[{"s":"AAPL","p":7.5,"t":1575526691134,"v":0}]}') == [
        PriceUpdate("AAPL", 1_575_526_691_134_000_000, 7.5)
    ]


def test_a_ping_is_a_heartbeat() -> None:
    assert items('{"type":"ping"}') == [Heartbeat()]
    assert items('{"type":"news","data":[]}') == []


@pytest.mark.parametrize(
    ("text", "kind", "fatal"),
    [
        ("Invalid symbol", NotFound, False),
        ("Subscribing to too many symbols", EntitlementMissing, False),
        ("Invalid API key", AuthFailed, True),
        ("You don't have access to this resource.", EntitlementMissing, True),
        ("max connections", RateLimited, True),
        ("API limit reached.", RateLimited, True),
        ("Something else", ProviderAway, True),
    ],
)
def test_errors(text: str, kind: type[ProviderError], fatal: bool) -> None:
    (item,) = items(f'{{"type":"error","msg":"{text}"}}')
    assert isinstance(item, Refused)
    assert (type(item.error), item.fatal) == (kind, fatal)
    assert text in str(item.error)


@pytest.mark.parametrize(
    "bad",
    [
        '{"s":"AAPL","p":"150.1","t":1575526691134,"v":1}',
        '{"s":"AAPL","p":150.1,"t":1575526691,"v":1}',
        '{"s":"AAPL","p":150.1,"t":1575526691134,"v":-1}',
        '{"s":"AAPL","p":150.1,"t":1575526691134,"v":1,"c":["@"]}',
        '{"s":"","p":150.1,"t":1575526691134,"v":1}',
        "null",
    ],
)
def test_one_bad_trade_does_not_take_the_others_of_its_frame(bad: str) -> None:
    first, middle, last = items(f'{{"type":"trade","data":[{GOOD},{bad},{GOOD}]}}')
    assert isinstance(first, Trade)
    assert first == last
    assert isinstance(middle, Unreadable)


@pytest.mark.parametrize("frame", ["", "[]", '{"data":[]}', '{"type":"trade","data":7}'])
def test_a_frame_that_is_none_is_unreadable(frame: str) -> None:
    (item,) = items(frame)
    assert isinstance(item, Unreadable)
