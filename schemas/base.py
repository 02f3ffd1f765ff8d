"""What every wire model has in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

#: 1990-01-01 and 2100-01-01 UTC in nanoseconds: a timestamp in s, ms or µs falls outside, and is told so
EARLIEST_NS = 631_152_000_000_000_000
LATEST_NS = 4_102_444_800_000_000_000

Nanos = Annotated[
    int,
    Field(ge=EARLIEST_NS, lt=LATEST_NS, description="Nanoseconds since the epoch, UTC."),
]

SYMBOL = r"^[A-Z0-9^][A-Z0-9.:/=^+_#$&-]{0,31}$"
NAME = r"^[a-z][a-z0-9_-]{0,31}$"
OPTIONAL_NAME = r"^([a-z][a-z0-9_-]{0,31})?$"

Symbol = Annotated[
    str,
    Field(
        pattern=SYMBOL,
        description="Canonical symbol: upper case, as in `AAPL`, `BRK.B`, `XBT/USDT`.",
    ),
]
Provider = Annotated[str, Field(pattern=NAME, description="Who delivered it, as in `polygon`, `kraken`.")]
Feed = Annotated[
    str,
    Field(
        pattern=OPTIONAL_NAME,
        description="Which of the provider's feeds, as in `sip`, `iex`; empty if it has one only.",
    ),
]


class InputModel(BaseModel):
    """What others write: strict, closed, finite; a typo is told, not ignored."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class OutputModel(BaseModel):
    """What only tapeflow writes: unknown fields are ignored, so that old readers read new messages."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, allow_inf_nan=False)
