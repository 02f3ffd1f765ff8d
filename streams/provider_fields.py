"""Settings of the vendors: keys, plans, addresses. Part of `streams.setting_fields.Settings`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from providers.alpaca.config import AlpacaConfig
from providers.finnhub.config import FinnhubConfig
from providers.iex.config import IexConfig, TiingoConfig
from providers.polygon.config import PolygonConfig

URL = r"^https?://[^\s]+$"
WS_URL = r"^wss?://[^\s]+$"
Plan = Literal["free", "paid"]

_NO_KEY = SecretStr("")
_POLYGON = PolygonConfig(key=_NO_KEY)
_ALPACA = AlpacaConfig(key_id=_NO_KEY, secret=_NO_KEY)
_FINNHUB = FinnhubConfig(key=_NO_KEY)
_TIINGO = TiingoConfig(key=_NO_KEY)


class ProviderFields(BaseSettings):
    """A vendor without a key is not asked."""

    polygon_api_key: SecretStr = Field(default=_NO_KEY, description="Of polygon (Massive).")
    polygon_plan: Literal["free", "delayed", "paid"] = Field(
        default="free", description="What the key's plan includes."
    )
    polygon_url: str = Field(default=_POLYGON.base_url, pattern=URL, description="Where polygon's REST is.")
    polygon_ws_url: str = Field(default=_POLYGON.ws_url, pattern=WS_URL, description="Polygon's feed.")

    alpaca_api_key_id: SecretStr = Field(default=_NO_KEY, description="Of alpaca, the first half.")
    alpaca_api_secret_key: SecretStr = Field(default=_NO_KEY, description="Of alpaca, the second half.")
    alpaca_plan: Plan = Field(
        default="free", description="The free plan has the consolidated tape 16 minutes late."
    )
    alpaca_feed: Literal["sip", "iex"] = Field(
        default="sip", description="The consolidated tape, or IEX alone."
    )
    alpaca_url: str = Field(default=_ALPACA.base_url, pattern=URL, description="Where alpaca's REST is.")
    alpaca_ws_url: str = Field(
        default=_ALPACA.ws_url, pattern=WS_URL, description="Alpaca's feeds; the feed's name is added."
    )

    finnhub_api_key: SecretStr = Field(default=_NO_KEY, description="Of finnhub.")
    finnhub_plan: Plan = Field(default="free", description="The free plan has neither bars nor quotes.")
    finnhub_url: str = Field(default=_FINNHUB.base_url, pattern=URL, description="Where finnhub's REST is.")
    finnhub_ws_url: str = Field(default=_FINNHUB.ws_url, pattern=WS_URL, description="Finnhub's feed.")

    iex_backend: Literal["tiingo", "alpaca"] = Field(
        default="tiingo", description="By way of whom IEX's data comes; alpaca: with alpaca's key."
    )
    tiingo_api_key: SecretStr = Field(default=_NO_KEY, description="Of Tiingo, for `iex`.")
    tiingo_plan: Plan = Field(default="free", description="The plans differ in their rates.")
    tiingo_quotes: bool = Field(
        default=False, description="The account has an agreement with IEX: it is shown bids and asks."
    )
    tiingo_url: str = Field(default=_TIINGO.base_url, pattern=URL, description="Where Tiingo's REST is.")
    tiingo_ws_url: str = Field(default=_TIINGO.ws_url, pattern=WS_URL, description="Tiingo's feed.")

    def polygon(self) -> PolygonConfig | None:
        """Return polygon's configuration; None without a key."""
        if not self.polygon_api_key.get_secret_value():
            return None
        return PolygonConfig(
            key=self.polygon_api_key,
            plan=self.polygon_plan,
            base_url=self.polygon_url,
            ws_url=self.polygon_ws_url,
        )

    def alpaca(self) -> AlpacaConfig | None:
        """Return alpaca's configuration; None without both halves of the key."""
        if not (self.alpaca_api_key_id.get_secret_value() and self.alpaca_api_secret_key.get_secret_value()):
            return None
        return AlpacaConfig(
            key_id=self.alpaca_api_key_id,
            secret=self.alpaca_api_secret_key,
            plan=self.alpaca_plan,
            feed=self.alpaca_feed,
            base_url=self.alpaca_url,
            ws_url=self.alpaca_ws_url,
        )

    def finnhub(self) -> FinnhubConfig | None:
        """Return finnhub's configuration; None without a key."""
        if not self.finnhub_api_key.get_secret_value():
            return None
        return FinnhubConfig(
            key=self.finnhub_api_key,
            plan=self.finnhub_plan,
            base_url=self.finnhub_url,
            ws_url=self.finnhub_ws_url,
        )

    def iex(self) -> IexConfig | None:
        """Return the configuration of IEX's data; None without the key of its backend."""
        if self.iex_backend == "alpaca":
            alpaca = self.alpaca()
            return alpaca and alpaca.model_copy(update={"provider": "iex", "feed": "iex"})
        if not self.tiingo_api_key.get_secret_value():
            return None
        return TiingoConfig(
            key=self.tiingo_api_key,
            plan=self.tiingo_plan,
            quotes_entitled=self.tiingo_quotes,
            base_url=self.tiingo_url,
            ws_url=self.tiingo_ws_url,
        )
