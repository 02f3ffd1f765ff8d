"""Where IEX's data is, with which key and plan it is asked, and how much at once.

By Tiingo unless configured otherwise; by Alpaca (``AlpacaConfig`` with provider ``iex``) it has quotes on
every plan, but is out whenever Alpaca is.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from providers.alpaca.config import AlpacaConfig
from providers.capability import Access


class TiingoConfig(BaseModel):
    """Settings of Tiingo."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: SecretStr
    base_url: str = "https://api.tiingo.com"
    ws_url: str = "wss://api.tiingo.com/iex"
    plan: Literal["free", "paid"] = "free"
    """They differ in their rates alone."""
    quotes_entitled: bool = False
    """Whether the account has an agreement with IEX: without one Tiingo shows no bids and asks."""
    inflight: int = Field(default=2, ge=1)
    max_points: int = Field(default=2_000, ge=1_000)
    """Of bars in one answer: five regular sessions of minutes, two with extended hours."""
    batch_symbols: int = Field(default=100, ge=1, le=100)
    """Of quotes in one answer."""

    @property
    def rates(self) -> tuple[tuple[int, float], ...]:
        """Requests allowed in so many seconds, of the key: a few fewer than the vendor counts."""
        if self.plan == "paid":
            return (9_500, 3_600.0), (95_000, 86_400.0)
        return (48, 3_600.0), (950, 86_400.0)

    @property
    def access(self) -> Access:
        """By which the capability matrix knows it."""
        return Access("iex", "tiingo", self.plan, self.quotes_entitled)


IexConfig = TiingoConfig | AlpacaConfig
