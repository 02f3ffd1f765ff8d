"""A hole in a feed, told in the feed: on every partition of the topics that it fills."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.base import Feed, InputModel, Nanos, Provider


class Discontinuity(InputModel):
    """Between two moments records may be missing: nobody was listening, or not everything came."""

    type: Literal["discontinuity"]
    ts_event: Nanos = Field(description="When listening began again, nanoseconds since the epoch, UTC.")
    ts_from: Nanos = Field(description="When the last record came that is surely without a hole before it.")
    provider: Provider
    feed: Feed = ""
    reason: str = Field(
        pattern=r"^[ -~]{1,200}$",
        description="Why, in a line: connection lost, mute, slow consumer, takeover.",
    )
