"""Where alpaca is, with which key, plan and feed it is asked, and how much at once."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from providers.capability import Access

Feed = Literal["sip", "iex"]


class AlpacaConfig(BaseModel):
    """Settings of alpaca's market data; with `provider` ``iex`` it is the second backend of IEX's data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key_id: SecretStr
    secret: SecretStr
    provider: Literal["alpaca", "iex"] = "alpaca"
    base_url: str = "https://data.alpaca.markets"
    ws_url: str = "wss://stream.data.alpaca.markets/v2"
    """Without the feed, which is the last segment."""
    plan: Literal["free", "paid"] = "free"
    feed: Feed = "sip"
    inflight: int = Field(default=8, ge=1)
    batch_symbols: int = Field(default=50, ge=1)
    page_size: int = Field(default=10_000, ge=1, le=10_000)
    max_pages: int = Field(default=10_000, ge=1)
    """Of one batch: more is a vendor that goes in circles."""
    free_sip_lag_s: int = Field(default=16 * 60, ge=0)
    """The free plan has the consolidated tape except for its last quarter of an hour."""

    @property
    def rates(self) -> tuple[tuple[int, float], ...]:
        """Requests allowed in so many seconds, of the key: a few fewer than the vendor counts."""
        return ((9_500, 60.0),) if self.plan == "paid" else ((190, 60.0),)

    @property
    def access(self) -> Access:
        """By which the capability matrix knows it."""
        backend = "alpaca_iex" if self.provider == "iex" else self.feed
        return Access(self.provider, backend, self.plan)

    @model_validator(mode="after")
    def _iex_is_iex(self) -> Self:
        if self.provider == "iex" and self.feed != "iex":
            raise ValueError("feed: provider iex has feed iex only")
        return self
