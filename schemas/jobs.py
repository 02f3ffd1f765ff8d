"""Jobs, the values of ``md.jobs.v1``: fetch these bars, fetch these quotes, fill this hole.

People write them, by hand and by script: a mistake is told by the name of the field.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from schemas.base import InputModel, Symbol
from schemas.instant import Instant, nanos
from schemas.provider import Adjustment, Coverage, Interval, ProviderName

#: what a URL, a shell and a log line take as it is
JOB_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
#: one line: no control character, none that turns the direction of the text; not blank
REASON = (
    r"^[^\x00-\x20\x7f-\xa0\u2028\u2029\u202a-\u202e\u2066-\u2069]"
    r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]*$"
)
MAX_REASON = 256
MAX_SYMBOLS = 1_000
#: ten years of minutes, closed hours counted: what is longer is a slip of the pen
MAX_BARS_PER_SYMBOL = 10 * 366 * 1_440
#: 1,000 symbols for a month of minutes: no offset behind an unfinished job can be committed
MAX_BARS_PER_JOB = 50_000_000
MAX_QUOTES_WINDOW = timedelta(days=31)
#: the windows of all symbols end to end: 1,000 symbols for a day
MAX_QUOTES_PER_JOB = timedelta(days=1_000)

_LENGTH: Mapping[Interval, timedelta] = {
    "1m": timedelta(minutes=1),
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "30m": timedelta(minutes=30),
    "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
}


class TimeWindow(InputModel):
    """``[start, end)``: the end is not in it."""

    start: Instant = Field(
        description="First instant in it: ISO 8601 with a zone, as in `2025-01-06T14:30:00Z`."
    )
    end: Instant = Field(description="First instant after it, later than `start`.")

    @model_validator(mode="after")
    def _forwards(self) -> TimeWindow:
        if self.start >= self.end:
            raise PydanticCustomError("window", "start should be before end")
        return self

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.end - self.start

    @property
    def start_ns(self) -> int:
        """`start` in nanoseconds since the epoch, UTC."""
        return nanos(self.start)

    @property
    def end_ns(self) -> int:
        """`end` in nanoseconds since the epoch, UTC; exclusive."""
        return nanos(self.end)


def _array(value: object) -> object:
    """Count before any symbol is looked at; in Python a list will do, too."""
    if not isinstance(value, list | tuple):
        raise PydanticCustomError("symbols", "Input should be an array of symbols")
    if not 1 <= len(value) <= MAX_SYMBOLS:
        said = {"count": len(value), "most": MAX_SYMBOLS}
        raise PydanticCustomError("symbols", "{count} symbols, 1 to {most} allowed", said)
    return tuple(value)


def _unique(symbols: tuple[str, ...]) -> tuple[str, ...]:
    first: dict[str, int] = {}
    for at, symbol in enumerate(symbols):
        if (before := first.setdefault(symbol, at)) != at:
            said = {"symbol": symbol, "before": before, "at": at}
            raise PydanticCustomError("symbols", "{symbol} is there twice, at {before} and {at}", said)
    return symbols


JobId = Annotated[
    str,
    Field(
        pattern=JOB_ID,
        description="Given by who writes the job, the key of its record. A new job has a new id.",
    ),
]
Symbols = Annotated[
    tuple[Symbol, ...],
    BeforeValidator(_array),
    AfterValidator(_unique),
    # pydantic's own bounds would count the symbols that are well formed, and complain twice
    Field(
        description="Canonical symbols, none of them twice.",
        json_schema_extra={"minItems": 1, "maxItems": MAX_SYMBOLS, "uniqueItems": True},
    ),
]
AllowDowngrade = Annotated[
    bool,
    Field(
        description="Take lesser coverage if nobody has the one asked for. It is stored as provisional "
        "and replaced when the better source is back."
    ),
]
ProviderHint = Annotated[
    ProviderName | None,
    Field(description="Whom to ask first, if healthy and able to serve the job; a wish, not a condition."),
]
RequestedAt = Annotated[
    Instant | None,
    Field(description="When it was written, by the writer's clock. For people; nothing depends on it."),
]


def _require_tag(schema: dict[str, Any]) -> None:
    """Require `job_type`: in Python the class says which job it is, on the topic nothing else does."""
    schema["required"] = ["job_type", *schema["required"]]
    del schema["properties"]["job_type"]["default"]


class _Job(InputModel):
    model_config = ConfigDict(json_schema_extra=_require_tag)


class BarsFetchJob(_Job):
    """Fetch the bars that start in a window."""

    job_type: Literal["bars"] = Field(default="bars", description="Says which job it is.")
    job_id: JobId
    symbols: Symbols
    interval: Interval = Field(description="Length of a bar.")
    window: TimeWindow = Field(
        description="Bars that start in it. At most ten years of 1m, fifty of 5m and so on, and "
        f"{MAX_BARS_PER_JOB:,} bars of all symbols together, closed hours counted."
    )
    adjustment: Adjustment = Field(default="raw", description="What prices and sizes are adjusted for.")
    coverage: Coverage = Field(
        default="consolidated", description="Whose trades have to be in it: all exchanges', or IEX's alone."
    )
    extended_hours: bool = Field(
        default=True,
        description="With the bars before the open and after the close, as candles made of trades have "
        "them. No matter to 1d.",
    )
    allow_downgrade: AllowDowngrade = False
    provider_hint: ProviderHint = None
    requested_at: RequestedAt = None

    @field_validator("window")
    @classmethod
    def _bounded(cls, window: TimeWindow, info: ValidationInfo) -> TimeWindow:
        return _countable(window, info.data.get("interval"), len(info.data.get("symbols", ())))


class QuotesFetchJob(_Job):
    """Fetch best bids and asks: the latest of each symbol, or all of a window."""

    job_type: Literal["quotes"] = Field(default="quotes", description="Says which job it is.")
    job_id: JobId
    symbols: Symbols
    window: TimeWindow | None = Field(
        default=None,
        description=f"Quotes of it; without one the latest. At most {MAX_QUOTES_WINDOW.days} days, and "
        f"{MAX_QUOTES_PER_JOB.days:,} days of all symbols together.",
    )
    coverage: Coverage = Field(
        default="consolidated", description="Whose quotes: the best of all exchanges, or IEX's alone."
    )
    allow_downgrade: AllowDowngrade = False
    provider_hint: ProviderHint = None
    requested_at: RequestedAt = None

    @field_validator("window")
    @classmethod
    def _bounded(cls, window: TimeWindow | None, info: ValidationInfo) -> TimeWindow | None:
        if window is None:
            return None
        symbols = len(info.data.get("symbols", ()))
        length = str(window.length)
        if window.length > MAX_QUOTES_WINDOW:
            most = {"length": length, "most": MAX_QUOTES_WINDOW.days}
            raise PydanticCustomError("window", "{length} long, at most {most} days", most)
        if window.length * symbols > MAX_QUOTES_PER_JOB:
            most = {"length": length, "symbols": symbols, "most": MAX_QUOTES_PER_JOB.days}
            said = "{length} long, {symbols} symbols, at most {most} days together: send several jobs"
            raise PydanticCustomError("window", said, most)
        return window


class BackfillJob(_Job):
    """Fill what is missing of one symbol: queued, done in pieces, and never in the way of live work."""

    job_type: Literal["backfill"] = Field(default="backfill", description="Says which job it is.")
    job_id: JobId
    symbol: Symbol
    interval: Interval = Field(description="Length of a bar.")
    window: TimeWindow = Field(
        description="Bars that start in it. At most ten years of 1m, fifty of 5m and so on."
    )
    priority: Literal["T0", "T1", "T2"] = Field(description="Tier: T0 goes before T1, T1 before T2.")
    reason: str = Field(
        pattern=REASON,
        min_length=1,
        max_length=MAX_REASON,
        description="Why, in one line, for whoever looks at the queue.",
    )
    provider_hint: ProviderHint = None
    requested_at: RequestedAt = None

    @field_validator("window")
    @classmethod
    def _bounded(cls, window: TimeWindow, info: ValidationInfo) -> TimeWindow:
        return _countable(window, info.data.get("interval"), 1)


def _countable(window: TimeWindow, interval: Interval | None, symbols: int) -> TimeWindow:
    """Refuse more bars than a job may ask for; an interval of None is wrong itself, and told."""
    if interval is None:
        return window
    bars = -(-window.length // _LENGTH[interval])
    if bars > MAX_BARS_PER_SYMBOL:
        most = {"bars": bars, "interval": interval, "most": MAX_BARS_PER_SYMBOL}
        raise PydanticCustomError("window", "{bars} bars of {interval}, at most {most}", most)
    if bars * symbols > MAX_BARS_PER_JOB:
        most = {"bars": bars, "interval": interval, "symbols": symbols, "most": MAX_BARS_PER_JOB}
        said = "{bars} bars of {interval}, {symbols} symbols, at most {most} together: send several jobs"
        raise PydanticCustomError("window", said, most)
    return window


Job = Annotated[BarsFetchJob | QuotesFetchJob | BackfillJob, Field(discriminator="job_type")]
JOB: TypeAdapter[Job] = TypeAdapter(Job)


def encode_job(job: Job) -> bytes:
    """Return the value for ``md.jobs.v1``: JSON, times in UTC, without what is None."""
    return job.model_dump_json(exclude_none=True).encode()


_REQUESTED = datetime(2025, 1, 7, 12, tzinfo=UTC)
#: regular hours in New York
_SESSION = TimeWindow(
    start=datetime(2025, 1, 6, 14, 30, tzinfo=UTC), end=datetime(2025, 1, 6, 21, tzinfo=UTC)
)


def fixture_bars_job() -> BarsFetchJob:
    """Return the bars job of operators and CI: one session of two symbols, the same every time."""
    return BarsFetchJob(
        job_id="ci-bars-123",
        symbols=("AAPL", "MSFT"),
        interval="1m",
        window=_SESSION,
        requested_at=_REQUESTED,
    )


def fixture_quotes_job() -> QuotesFetchJob:
    """Return the quotes job of operators and CI: the latest of two symbols, the same job every time."""
    return QuotesFetchJob(job_id="ci-quotes-456", symbols=("AAPL", "MSFT"), requested_at=_REQUESTED)


def fixture_backfill_job() -> BackfillJob:
    """Return the backfill job of operators and CI: one session of a symbol, the same every time."""
    return BackfillJob(
        job_id="ci-backfill-789",
        symbol="AAPL",
        interval="1m",
        window=_SESSION,
        priority="T1",
        reason="minutes missing after an outage",
        requested_at=_REQUESTED,
    )
