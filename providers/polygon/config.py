"""Where polygon is, with which key and plan it is asked, and how much at once."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from providers.capability import Access

DAY_S = 86_400


class PolygonConfig(BaseModel):
    """Settings of polygon (Massive since 2025-10-30). Lengths of windows in days."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: SecretStr
    base_url: str = "https://api.massive.com"
    ws_url: str = "wss://socket.massive.com/stocks"
    plan: Literal["free", "delayed", "paid"] = "free"
    inflight: int = Field(default=8, ge=1)
    intraday_days: int = Field(default=30, ge=1)
    """Asked for at once: with extended hours a page of `page_size` minutes holds 52 days."""
    daily_days: int = Field(default=5 * 365, ge=1)
    page_size: int = Field(default=50_000, ge=1, le=50_000)
    max_pages: int = Field(default=1_000, ge=1)
    """Of one window: more is a vendor that goes in circles."""

    @property
    def rates(self) -> tuple[tuple[int, float], ...]:
        """Requests allowed in so many seconds, of the key; of paid plans nobody has published a limit."""
        return ((5, 60.0),) if self.plan == "free" else ()

    @property
    def access(self) -> Access:
        """By which the capability matrix knows it."""
        return Access("polygon", "massive", self.plan)
