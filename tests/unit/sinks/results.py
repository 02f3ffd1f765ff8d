"""What vendors and jobs leave, to be stored."""

from __future__ import annotations

import json
from typing import Any
from zlib import crc32

from providers.base import BarRow, QuoteRow
from sinks.backfills import BackfillRow
from sinks.job_results import AttemptRow, JobResult, JobRow, WaitingRow
from sinks.vendor_bars import VendorBars
from sinks.vendor_quotes import VendorQuotes
from tests.unit.sinks.bars import MINUTE_NS, START

SECOND_NS = 1_000_000_000
HOUR_NS = 3_600 * SECOND_NS
NOW = START + HOUR_NS


def numbers(text: str) -> dict[str, Any]:
    """Return the values of a bar that follow from a text: equal for equal texts, else different."""
    n = float(crc32(text.encode()) % 9_973 + 1)
    return {
        "open": n,
        "high": n * 2,
        "low": n / 2,
        "close": n + 1,
        "volume": n * 3,
        "vwap": n + 0.5,
        "trade_count": int(n),
    }


def bar_row(**changes: Any) -> BarRow:
    """Return a good bar with some fields changed."""
    row = {"symbol": "AAPL", "ts_event": START, **numbers("a bar"), **changes}
    return BarRow(**row)


def vendor_bars(*rows: BarRow, **changes: Any) -> VendorBars:
    """Return an answer of polygon with these rows, or with one, with some fields changed."""
    what = {
        "rows": rows or (bar_row(),),
        "interval": "1m",
        "adjustment": "raw",
        "provider": "polygon",
        "feed": "sip",
        "coverage": "consolidated",
        "rule": "polygon.v1",
        "as_of_ns": NOW,
        "final_before_ns": NOW,
        **changes,
    }
    return VendorBars(**what)


def quote_row(**changes: Any) -> QuoteRow:
    """Return a good quote with some fields changed."""
    row = {
        "symbol": "AAPL",
        "ts_event": START + 1,
        "bid": 10.0,
        "bid_size": 200.0,
        "ask": 10.5,
        "ask_size": 300.0,
        **changes,
    }
    return QuoteRow(**row)


def vendor_quotes(*rows: QuoteRow, **changes: Any) -> VendorQuotes:
    """Return an answer of polygon with these rows, or with one, with some fields changed."""
    what = {
        "rows": rows or (quote_row(),),
        "provider": "polygon",
        "feed": "sip",
        "coverage": "consolidated",
        **changes,
    }
    return VendorQuotes(**what)


def attempt(**changes: Any) -> AttemptRow:
    """Return an attempt that gave a row, with some fields changed."""
    what = {
        "provider": "polygon",
        "outcome": "ok",
        "rows": 1,
        "latency_ms": 12.5,
        "at_ns": NOW,
        "detail": "",
        "symbols": 1,
        **changes,
    }
    return AttemptRow(**what)


def waiting_row(symbol: str = "AAPL", **changes: Any) -> WaitingRow:
    """Return a request for a minute of a symbol, with some fields changed."""
    what = {
        "request": {
            "symbols": [symbol],
            "interval": "1m",
            "start_ns": START,
            "end_ns": START + MINUTE_NS,
            "adjustment": "raw",
            "extended_hours": True,
        },
        "why": "polygon: open since 14:30:02: 3 failures in a row",
        "heal": False,
        "coverage": "consolidated",
        "allow_downgrade": False,
        "hint": None,
        "not_before_ns": 0,
        **changes,
    }
    return WaitingRow(**what)


def job_row(job_id: str = "job-1", state: str = "done", **changes: Any) -> JobRow:
    """Return a job with some fields changed."""
    what = {
        "job_id": job_id,
        "job_type": "bars",
        "state": state,
        "partition": 2,
        "offset": 7,
        "submitted_ns": START,
        "finished_ns": None if state == "waiting" else NOW,
        "detail": "",
        "document": json.dumps({"job_type": "bars", "job_id": job_id}).encode(),
        **changes,
    }
    return JobRow(**what)


def job_result(job_id: str = "job-1", state: str = "done", **changes: Any) -> JobResult:
    """Return what a job leaves; fields of the job and of the result as they are named."""
    of_result = {name: changes.pop(name) for name in list(changes) if name in JobResult.__slots__}
    return JobResult(job_row(job_id, state, **changes), **of_result)


def backfill_row(**changes: Any) -> BackfillRow:
    """Return a request to fetch an hour again, with some fields changed."""
    what = {
        "request_id": "job-1",
        "tier": "T1",
        "symbol": "AAPL",
        "interval": "1m",
        "window_start_ns": START,
        "window_end_ns": START + HOUR_NS,
        "reason_text": "minutes missing after an outage",
        "hint": None,
        **changes,
    }
    return BackfillRow(**what)
