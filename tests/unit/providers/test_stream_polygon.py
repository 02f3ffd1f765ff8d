"""Polygon's feed: its frames word for word, its statuses, and what breaks its contract."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from providers.base import BarRow
from providers.dialogue import Heard, Item, Refused, Unreadable, What
from providers.polygon.config import PolygonConfig
from providers.polygon.stream import PolygonDialogue
from schemas.errors import (
    AuthFailed,
    BadRequest,
    EntitlementMissing,
    NotFound,
    ProviderAway,
    ProviderError,
    RateLimited,
)
from schemas.quote import RawQuote
from schemas.trade import Trade

AT = 1_764_000_000_123_456_789
CONNECTED = '[{"ev":"status","status":"connected","message":"Connected Successfully"}]'
AUTHENTICATED = '[{"ev":"status","status":"auth_success","message":"authenticated"}]'
TRADE = (
    '{"ev":"T","sym":"MSFT","x":4,"i":"12345","z":3,"p":114.125,"s":100,"c":[0,12],"t":1536036818784,'
    '"q":3681328}'
)


def dialogue(*symbols: str, what: tuple[What, ...] = ("trades", "quotes"), **config: Any) -> PolygonDialogue:
    return PolygonDialogue(PolygonConfig(key="the-key", **config), symbols or ("MSFT",), what)


def items(frame: str) -> list[Item]:
    return dialogue().hear(frame, AT).items


def sent(heard: Heard) -> list[Any]:
    return [msgspec.json.decode(frame) for frame in heard.replies]


def test_the_way_from_greeting_to_live() -> None:
    talk = dialogue("AAPL", "BRK.B", "KIM.PRL")
    assert talk.opening() == []
    assert sent(talk.hear(CONNECTED, AT)) == [{"action": "auth", "params": "the-key"}]
    assert (talk.live, talk.missing) == (False, "login")
    assert sent(talk.hear(AUTHENTICATED, AT)) == [
        {"action": "subscribe", "params": "T.AAPL,T.BRK.B,T.KIMpL,Q.AAPL,Q.BRK.B,Q.KIMpL"}
    ]
    for name in ("T.AAPL", "T.BRK.B", "T.KIMpL", "Q.AAPL", "Q.BRK.B"):
        assert talk.hear(_success(name), AT) == Heard()
        assert not talk.live
    assert talk.missing == "1 subscriptions"
    talk.hear(_success("Q.KIMpL"), AT)
    assert talk.live


def _success(name: str) -> str:
    return f'[{{"ev":"status","status":"success","message":"subscribed to: {name}"}}]'


def test_many_symbols_are_subscribed_in_batches() -> None:
    symbols = [f"S{n}" for n in range(700)]
    talk = dialogue(*symbols)
    talk.hear(CONNECTED, AT)
    batches = [message["params"].split(",") for message in sent(talk.hear(AUTHENTICATED, AT))]
    assert [len(batch) for batch in batches] == [500, 500, 400]
    assert [name for batch in batches for name in batch] == [f"{k}.{s}" for k in "TQ" for s in symbols]


def test_a_trade_in_the_vendors_own_example() -> None:
    assert items(f"[{TRADE}]") == [
        Trade(
            symbol="MSFT",
            ts_event=1_536_036_818_784_000_000,
            price=114.125,
            size=100.0,
            provider="polygon",
            feed="sip",
            venue="4",
            conditions="@T",
            tape="C",
            seq=3_681_328,
            trade_id="12345",
            ts_recv=AT,
        )
    ]


def test_fractional_sizes_come_in_a_field_of_their_own() -> None:
    (trade,) = items('[{"ev":"T","sym":"A","p":1.5,"s":0,"ds":"0.25","t":1764000000000,"z":1}]')
    assert isinstance(trade, Trade)
    assert (trade.size, trade.tape, trade.venue, trade.conditions) == (0.25, "A", "", "")


def test_a_quote_counts_in_round_lots_until_november_2025_and_in_shares_since() -> None:
    frame = (
        '[{"ev":"Q","sym":"MSFT","bx":4,"bp":114.125,"bs":100,"ax":7,"ap":114.128,"as":160,"c":0,"i":[604],'
        '"t":%d,"q":50385480,"z":3}]'
    )
    old = RawQuote(
        symbol="MSFT",
        ts_event=1_536_036_818_784_000_000,
        provider="polygon",
        bid=114.125,
        bid_size=10_000.0,
        ask=114.128,
        ask_size=16_000.0,
        feed="sip",
        bid_venue="4",
        ask_venue="7",
        conditions="604",
        tape="C",
        seq=50_385_480,
        ts_recv=AT,
    )
    assert items(frame % 1_536_036_818_784) == [old]
    (new,) = items(frame % 1_764_000_000_000)
    assert isinstance(new, RawQuote)
    assert (new.bid_size, new.ask_size) == (100.0, 160.0)


def test_a_side_without_a_price_is_not_there() -> None:
    (quote,) = items(
        '[{"ev":"Q","sym":"A","bx":0,"bp":0,"bs":0,"ax":7,"ap":9.5,"as":3,"c":2,"t":1764000000000}]'
    )
    assert isinstance(quote, RawQuote)
    assert (quote.bid, quote.bid_size, quote.bid_venue) == (None, None, "")
    assert (quote.ask, quote.ask_size, quote.ask_venue, quote.conditions) == (9.5, 3.0, "7", "2")


def test_a_minute_has_its_own_average_and_no_count() -> None:
    frame = (
        '[{"ev":"AM","sym":"GTE","v":4110,"av":9470157,"op":0.4372,"vw":0.4488,"o":0.4488,"c":0.4486,'
        '"h":0.4489,"l":0.4486,"a":0.4352,"z":685,"s":1610144640000,"e":1610144700000}]'
    )
    row = BarRow("GTE", 1_610_144_640_000_000_000, 0.4488, 0.4489, 0.4486, 0.4486, 4110.0, 0.4488, None)
    assert items(frame) == [row]


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        ("auth_failed", "authentication failed", AuthFailed),
        ("auth_failed", "Your plan doesn't include websocket access.", EntitlementMissing),
        ("auth_timeout", "No authentication request received.", ProviderAway),
        ("max_connections", "Maximum number of websocket connections exceeded.", RateLimited),
        ("slow_consumer", "", ProviderAway),
        ("force_disconnect", "", ProviderAway),
    ],
)
def test_partings(status: str, message: str, kind: type[ProviderError]) -> None:
    (item,) = items(f'[{{"ev":"status","status":"{status}","message":"{message}"}}]')
    assert isinstance(item, Refused)
    assert type(item.error) is kind
    assert item.fatal
    assert item.error.code == status
    assert (message or status) in str(item.error)


def test_what_is_rejected_of_a_subscription_is_not_waited_for() -> None:
    talk = dialogue("AAPL", what=("trades",))
    talk.hear(AUTHENTICATED, AT)
    (item,) = talk.hear(
        '[{"ev":"status","status":"error","message":"invalid subscription: T.AAPL"}]', AT
    ).items
    assert isinstance(item, Refused)
    assert (item.fatal, type(item.error)) == (False, BadRequest)
    assert talk.live


def test_an_error_that_names_no_subscription_is_the_end() -> None:
    (item,) = items('[{"ev":"status","status":"error","message":"not authenticated"}]')
    assert isinstance(item, Refused)
    assert item.fatal


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('{"ev":"T","sym":"MSFT","p":"114","s":1,"t":1}', "str"),
        ('{"ev":"T","sym":"MSFT","s":1,"t":1764000000000}', "p"),
        ('{"ev":"T","sym":"MSFT","p":0,"s":1,"t":1764000000000}', "price: 0"),
        ('{"ev":"T","sym":"MSFT","p":1,"s":0,"t":1764000000000}', "size: 0"),
        ('{"ev":"T","sym":"MSFT","p":1,"s":1,"t":1764000000}', "time"),
        ('{"ev":"T","sym":"M SFT","p":1,"s":1,"t":1764000000000}', "symbol"),
        ('{"ev":"T","sym":"MSFT","p":1,"s":1,"t":1764000000000,"i":"a b"}', "trade id"),
        ('{"ev":"T","sym":"MSFT","p":1,"s":1,"ds":"x","t":1764000000000}', "size: 'x'"),
        ('{"ev":"Q","sym":"MSFT","bp":-1,"bs":1,"t":1764000000000}', "bid"),
        ('{"p":1}', "ev"),
        ("7", "object"),
    ],
)
def test_one_bad_message_does_not_take_the_others_of_its_frame(bad: str, reason: str) -> None:
    first, middle, last = items(f"[{TRADE},{bad},{TRADE}]")
    assert isinstance(first, Trade)
    assert first == last
    assert isinstance(middle, Unreadable)
    assert reason in middle.reason


@pytest.mark.parametrize(
    "frame", ["", "{}", "[", '{"ev":"T"}', "\ud800".encode("utf-8", "surrogatepass").decode("latin1")]
)
def test_a_frame_that_is_no_array_is_one_unreadable_message(frame: str) -> None:
    (item,) = items(frame)
    assert isinstance(item, Unreadable)


def test_kinds_that_nobody_asked_for_are_left_out() -> None:
    assert items('[{"ev":"LULD","T":"MSFT","h":1}]') == []


def test_asking_again_takes_the_subscription_back_first() -> None:
    talk = dialogue("AAPL", "KIM.PRL")
    assert [msgspec.json.decode(frame) for frame in talk.again(["KIM.PRL"])] == [
        {"action": "unsubscribe", "params": "T.KIMpL,Q.KIMpL"},
        {"action": "subscribe", "params": "T.KIMpL,Q.KIMpL"},
    ]


def test_a_delayed_plan_has_a_feed_of_its_own_name() -> None:
    talk = dialogue(plan="delayed")
    (trade,) = talk.hear(f"[{TRADE}]", AT).items
    assert isinstance(trade, Trade)
    assert trade.feed == "delayed_sip"


def test_a_symbol_without_a_spelling_there_is_refused_at_once() -> None:
    with pytest.raises(NotFound):
        dialogue("ApB")


def test_a_preferred_share_comes_back_as_it_went() -> None:
    (trade,) = dialogue("KIM.PRL").hear('[{"ev":"T","sym":"KIMpL","p":1,"s":1,"t":1764000000000}]', AT).items
    assert isinstance(trade, Trade)
    assert trade.symbol == "KIM.PRL"
