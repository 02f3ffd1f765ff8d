"""Jobs to requests of a size that is asked at once, and requests to JSON and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from providers.base import INTERVAL_NS, BarsRequest, QuotesRequest
from providers.serving import Request
from providers.sessions import DAY_NS
from schemas.jobs import BarsFetchJob, QuotesFetchJob
from schemas.provider import Interval

#: closed hours counted: a month of minutes of a symbol; what a worker holds of one job at a time
PART_BARS = 50_000
#: a busy symbol has some 100,000 quotes an hour
PART_QUOTES_NS = 3_600_000_000_000
PART_SYMBOLS = 1_000


def requests(job: BarsFetchJob | QuotesFetchJob) -> list[Request]:
    """Return what is to be asked for a job, in parts that end where bars end."""
    if isinstance(job, QuotesFetchJob):
        return list(_quotes(job))
    return list(_bars(job))


def _bars(job: BarsFetchJob) -> Iterator[BarsRequest]:
    start, end = job.window.start_ns, job.window.end_ns
    length = INTERVAL_NS.get(job.interval, DAY_NS)
    bars = -(-(end - start) // length)
    together = max(1, PART_BARS // bars)
    # a vendor's day begins at midnight in New York: days are never cut, ten years of them are 3,660
    daily = job.interval == "1d"
    first, step = (start, end - start) if daily else (start - start % length, PART_BARS * length)
    for symbols in _groups(job.symbols, min(together, PART_SYMBOLS)):
        for at in range(first, end, step):
            yield BarsRequest(
                symbols,
                job.interval,
                max(start, at),
                min(end, at + step),
                job.adjustment,
                job.extended_hours,
            )


def _quotes(job: QuotesFetchJob) -> Iterator[QuotesRequest]:
    if job.window is None:
        for symbols in _groups(job.symbols, PART_SYMBOLS):
            yield QuotesRequest(symbols)
        return
    start, end = job.window.start_ns, job.window.end_ns
    for symbol in job.symbols:
        for at in range(start, end, PART_QUOTES_NS):
            yield QuotesRequest((symbol,), at, min(end, at + PART_QUOTES_NS))


def _groups(symbols: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    for at in range(0, len(symbols), size):
        yield tuple(symbols[at : at + size])


def to_json(request: Request) -> dict[str, Any]:
    """Return a request as it is kept in ``waiting_requests``."""
    if isinstance(request, QuotesRequest):
        return {"symbols": list(request.symbols), "start_ns": request.start_ns, "end_ns": request.end_ns}
    return {
        "symbols": list(request.symbols),
        "interval": request.interval,
        "start_ns": request.start_ns,
        "end_ns": request.end_ns,
        "adjustment": request.adjustment,
        "extended_hours": request.extended_hours,
    }


def from_json(kept: Mapping[str, Any]) -> Request:
    """Return the request that `to_json` was given."""
    symbols = tuple(kept["symbols"])
    if "interval" not in kept:
        return QuotesRequest(symbols, kept["start_ns"], kept["end_ns"])
    return BarsRequest(
        symbols,
        cast(Interval, kept["interval"]),
        kept["start_ns"],
        kept["end_ns"],
        kept["adjustment"],
        kept["extended_hours"],
    )
