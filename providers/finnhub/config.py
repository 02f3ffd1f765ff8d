"""Where finnhub is, with which key and plan it is asked, and how much at once."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from providers.capability import Access


class FinnhubConfig(BaseModel):
    """Settings of finnhub. Lengths of windows in days."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: SecretStr
    base_url: str = "https://finnhub.io/api/v1"
    ws_url: str = "wss://ws.finnhub.io"
    plan: Literal["free", "paid"] = "free"
    """The free plan has no bars and no quotes, only the last trade."""
    key_in: Literal["query", "header"] = "query"
    """Documented is the query alone; that ``X-Finnhub-Token`` does as well is not proved."""
    inflight: int = Field(default=6, ge=1)
    intraday_days: int = Field(default=28, ge=1, le=28)
    """Asked for at once: finnhub answers for a month at most, and does not say where it stopped."""
    daily_days: int = Field(default=5 * 365, ge=1)
    page_size: int = Field(default=25_000, ge=1, le=25_000)
    """Quotes of the past in one answer."""
    max_pages: int = Field(default=1_000, ge=1)
    """Of one day: more is a vendor that goes in circles."""

    @property
    def rates(self) -> tuple[tuple[int, float], ...]:
        """Requests allowed in so many seconds, of the key: 30 a second by any plan, 60 a minute by the free.

        Of the paid ones the smallest is taken.
        """
        return (28, 1.0), (145, 60.0) if self.plan == "paid" else (58, 60.0)

    @property
    def access(self) -> Access:
        """By which the capability matrix knows it."""
        return Access("finnhub", "finnhub", self.plan)
