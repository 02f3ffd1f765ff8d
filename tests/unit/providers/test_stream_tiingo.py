"""Tiingo's feed: arrays told apart by length and types, confirmations, heartbeats and errors."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from providers.dialogue import Heartbeat, Item, PriceUpdate, Refused, Unreadable, What
from providers.iex.config import TiingoConfig
from providers.iex.stream import TiingoDialogue
from schemas.correction import TradeCancel
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
#: recorded by others; its number of nanoseconds has been a float: it ends in 500 instead of 526
RECORDED = (
    '{"messageType":"A","service":"iex","data":["Q","2022-02-16T12:35:16.595244526-05:00",'
    '1645032916595244500,"aapl",399,170.28,170.285,170.29,100,null,null,0,0,null,null,null]}'
)
NS = 1_645_032_916_595_244_526


def dialogue(*symbols: str, what: tuple[What, ...] = ("trades", "quotes")) -> TiingoDialogue:
    return TiingoDialogue(TiingoConfig(key="the-key"), symbols or ("AAPL",), what)


def items(frame: str, **how: Any) -> list[Item]:
    return dialogue(**how).hear(frame, AT).items


def data(*values: Any) -> str:
    return json.dumps({"messageType": "A", "service": "iex", "data": values})


def full(kind: Any = "T", **changes: Any) -> str:
    values: list[Any] = [kind, "2022-02-16T12:35:16.595244526-05:00", NS, "aapl", *[None] * 5, 170.28, 25]
    values += [None, 0, 0, 0, 0]
    for at, value in changes.items():
        values[int(at[1:])] = value
    return data(*values)


def test_the_key_goes_with_the_subscription_and_the_confirmations_are_counted() -> None:
    talk = dialogue(*[f"S{n}" for n in range(600)], "BRK.B")
    messages = [msgspec.json.decode(frame) for frame in talk.opening()]
    assert {m["authorization"] for m in messages} == {"the-key"}
    assert {m["eventName"] for m in messages} == {"subscribe"}
    assert [len(m["eventData"]["tickers"]) for m in messages] == [500, 101]
    assert [m["eventData"]["thresholdLevel"] for m in messages] == [5, 5]
    assert messages[1]["eventData"]["tickers"][-1] == "brk-b"
    confirmed = (
        '{"messageType":"I","data":{"subscriptionId":6038597},"response":{"code":200,"message":"Success"}}'
    )
    talk.hear(confirmed, AT)
    assert (talk.live, talk.missing) == (False, "1 subscriptions")
    talk.hear('{"messageType":"H","response":{"code":200,"message":"HeartBeat"}}', AT)
    assert not talk.live
    talk.hear(confirmed, AT)
    assert talk.live


def test_the_recorded_quote_is_exact_to_the_nanosecond() -> None:
    assert items(RECORDED) == [
        RawQuote(
            symbol="AAPL",
            ts_event=NS,
            provider="iex",
            bid=170.28,
            bid_size=399.0,
            ask=170.29,
            ask_size=100.0,
            feed="tiingo",
            bid_venue="V",
            ask_venue="V",
            ts_recv=AT,
        )
    ]


def test_sides_that_are_null_or_0_are_not_there() -> None:
    (quote,) = items(full("Q", _4=7, _5=0, _7=None, _8=3, _9=None, _10=None, _11=1))
    assert isinstance(quote, RawQuote)
    assert (quote.bid, quote.bid_size, quote.bid_venue) == (None, None, "")
    assert (quote.ask, quote.ask_size, quote.ask_venue) == (None, None, "")
    assert quote.conditions == "halted"


def test_a_trade_has_its_flags_as_letters_of_the_tape() -> None:
    trade = Trade(
        symbol="AAPL",
        ts_event=NS,
        price=170.28,
        size=25.0,
        provider="iex",
        feed="tiingo",
        venue="V",
        ts_recv=AT,
    )
    assert items(full()) == [trade]
    (special,) = items(full(_12=1, _13=1, _14=1, _15=1))
    assert special == msgspec.structs.replace(trade, conditions="TFI8")
    for at, letter in (("_12", "T"), ("_13", "F"), ("_14", "I"), ("_15", "8")):
        (one,) = items(full(**{"_12": None, "_13": None, "_14": None, "_15": None, at: 1}))
        assert one == msgspec.structs.replace(trade, conditions=letter)


def test_a_break_takes_a_trade_back() -> None:
    assert items(full("B")) == [
        TradeCancel(
            type="cancel",
            symbol="AAPL",
            ts_event=NS,
            provider="iex",
            feed="tiingo",
            venue="V",
            orig_price=170.28,
            orig_size=25.0,
            ts_recv=AT,
        )
    ]


def test_what_was_not_asked_for_is_left_out() -> None:
    assert items(RECORDED, what=("trades",)) == []
    assert items(full(), what=("quotes",)) == []
    assert items(full("B"), what=("quotes",)) == []


def test_level_6_is_a_price_and_no_trade() -> None:
    frame = data("2026-01-05T09:35:16.595244526-05:00", "brk-b", 250.28)
    assert items(frame) == [PriceUpdate("BRK.B", 1_767_623_716_595_244_526, 250.28)]


def test_a_heartbeat() -> None:
    assert items('{"messageType":"H","response":{"code":200,"message":"HeartBeat"}}') == [Heartbeat()]


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (400, "thresholdLevel not valid for your subscription tier, use 6", EntitlementMissing),
        (400, "Invalid request", BadRequest),
        (401, "Not authorized", AuthFailed),
        (403, "Not authorized for service: iex", EntitlementMissing),
        (400, "max connections", RateLimited),
        (400, "slow consumer", ProviderAway),
        (500, "", ProviderAway),
    ],
)
def test_errors(code: int, message: str, kind: type[ProviderError]) -> None:
    frame = json.dumps({"messageType": "E", "response": {"code": code, "message": message}})
    (item,) = items(frame)
    assert isinstance(item, Refused)
    assert (type(item.error), item.error.code, item.fatal) == (kind, str(code), True)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (data("Q", 1, 2), "data[1]"),
        (data(*[None] * 15), "15 values"),
        (data(*[None] * 16), "data[0]"),
        (full("X"), "data[0]: 'X'"),
        (full(_3=None), "data[3]"),
        (full(_1="2022-02-16"), "time"),
        (full(_2=NS // 1_000), "another time"),
        (full(_9=None), "data[9]"),
        (full(_9="170.28"), "data[9]"),
        (full(_10=0), "size"),
        (full("Q", _5=True), "data[5]"),
        (data(), "0 values"),
        ('{"messageType":"A","data":{"a":1}}', "not an array"),
        ('{"data":[]}', "messageType"),
        ("[", ""),
    ],
)
def test_what_has_neither_shape_is_unreadable(frame: str, reason: str) -> None:
    (item,) = items(frame)
    assert isinstance(item, Unreadable)
    assert reason in item.reason
