"""From settings to the talk with each vendor: whose key, which address, which name in the ticks."""

from __future__ import annotations

from typing import Any

import pytest

from providers.alpaca.stream import AlpacaDialogue
from providers.dialogue import Dialogue
from providers.finnhub.stream import FinnhubDialogue
from providers.iex.stream import TiingoDialogue
from providers.polygon.stream import PolygonDialogue
from schemas.errors import ConfigInvalid, NotFound
from schemas.provider import ProviderName
from streams.feed_dialogues import dialogues
from streams.setting_sources import detached
from streams.settings import Settings

KEYS = {
    "polygon_api_key": "pk",
    "alpaca_api_key_id": "ak",
    "alpaca_api_secret_key": "as",
    "finnhub_api_key": "fk",
    "tiingo_api_key": "tk",
}


def settings(**values: Any) -> Settings:
    return detached(values)


def dialogue(name: ProviderName, given: Settings, **how: Any) -> Dialogue:
    what = how.pop("what", ("trades",))
    return dialogues(name, given, ["AAPL"], what, **how)()


@pytest.mark.parametrize(
    ("name", "kind", "feed", "url"),
    [
        ("polygon", PolygonDialogue, "sip", "wss://socket.massive.com/stocks"),
        ("alpaca", AlpacaDialogue, "sip", "wss://stream.data.alpaca.markets/v2/sip"),
        ("finnhub", FinnhubDialogue, "iex", "wss://ws.finnhub.io/?token=fk"),
        ("iex", TiingoDialogue, "tiingo", "wss://api.tiingo.com/iex"),
    ],
)
def test_each_vendor(name: ProviderName, kind: type[Dialogue], feed: str, url: str) -> None:
    one = dialogue(name, settings(**KEYS))
    assert type(one) is kind
    assert (one.provider_name, one.feed) == (name, feed)
    assert one.url().get_secret_value() == url
    other = dialogue(name, settings(**KEYS), url="ws://127.0.0.1:1/x")
    assert other.url().get_secret_value().startswith("ws://127.0.0.1:1/x")


def test_each_connection_has_a_talk_of_its_own() -> None:
    make = dialogues("polygon", settings(**KEYS), ["AAPL"], ["trades"])
    assert make() is not make()


def test_alpacas_feed_and_format_can_be_chosen() -> None:
    one = dialogue("alpaca", settings(**KEYS), feed="delayed_sip", form="json")
    assert (one.feed, one.headers) == ("delayed_sip", {})
    assert dialogue("alpaca", settings(**KEYS, alpaca_feed="iex")).feed == "iex"
    assert dialogue("alpaca", settings(**KEYS)).headers == {"Content-Type": "application/msgpack"}


def test_iex_by_way_of_alpaca_is_called_iex() -> None:
    one = dialogue("iex", settings(**KEYS, iex_backend="alpaca"))
    assert type(one) is AlpacaDialogue
    assert (one.provider_name, one.feed) == ("iex", "iex")


@pytest.mark.parametrize("name", ["polygon", "alpaca", "finnhub", "iex"])
def test_without_a_key_nothing_begins(name: ProviderName) -> None:
    with pytest.raises(ConfigInvalid, match=f"{name} has no key: set"):
        dialogue(name, settings())


@pytest.mark.parametrize(
    ("name", "how"), [("finnhub", {"what": ("trades", "quotes")}), ("polygon", {"feed": "sip"})]
)
def test_what_a_vendor_does_not_have(name: ProviderName, how: dict[str, Any]) -> None:
    with pytest.raises(ConfigInvalid):
        dialogue(name, settings(**KEYS), **how)


def test_a_symbol_without_a_spelling_there() -> None:
    with pytest.raises(NotFound):
        dialogues("iex", settings(**KEYS), ["A-B"], ["trades"])()
