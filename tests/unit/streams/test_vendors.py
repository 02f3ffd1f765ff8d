"""From settings to what the key of each vendor opens."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from providers.capability import Access, capability
from streams.provider_fields import ProviderFields
from streams.vendors import accesses

KEYS: dict[str, Any] = {
    "polygon_api_key": SecretStr("p"),
    "alpaca_api_key_id": SecretStr("a"),
    "alpaca_api_secret_key": SecretStr("s"),
    "finnhub_api_key": SecretStr("f"),
    "tiingo_api_key": SecretStr("t"),
}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of whoever runs the tests does not count."""
    for name in ProviderFields.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_without_keys_there_is_nobody() -> None:
    assert accesses(ProviderFields()) == {}
    assert accesses(ProviderFields(alpaca_api_key_id=SecretStr("half"))) == {}


def test_every_key_opens_what_its_plan_says() -> None:
    assert accesses(ProviderFields(**KEYS)) == {
        "polygon": Access("polygon", "massive", "free"),
        "alpaca": Access("alpaca", "sip", "free"),
        "finnhub": Access("finnhub", "finnhub", "free"),
        "iex": Access("iex", "tiingo", "free"),
    }
    settings = ProviderFields(
        **KEYS,
        polygon_plan="paid",
        alpaca_plan="paid",
        alpaca_feed="iex",
        finnhub_plan="paid",
        tiingo_plan="paid",
        tiingo_quotes=True,
    )
    found = accesses(settings)
    assert found == {
        "polygon": Access("polygon", "massive", "paid"),
        "alpaca": Access("alpaca", "iex", "paid"),
        "finnhub": Access("finnhub", "finnhub", "paid"),
        "iex": Access("iex", "tiingo", "paid", quotes_entitled=True),
    }
    for access in found.values():
        assert capability(access).bars


def test_iex_by_way_of_alpaca_needs_the_key_of_alpaca() -> None:
    keys = {**KEYS, "tiingo_api_key": SecretStr("")}
    found = accesses(ProviderFields(**keys, iex_backend="alpaca", alpaca_plan="paid"))
    assert found["iex"] == Access("iex", "alpaca_iex", "paid")
    assert found["alpaca"] == Access("alpaca", "sip", "paid")
