"""A job cut into requests: together they ask for everything once, and none is too large."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from providers.base import INTERVAL_NS, BarsRequest, QuotesRequest
from providers.sessions import DAY_NS
from schemas.jobs import MAX_BARS_PER_JOB, BarsFetchJob, QuotesFetchJob, TimeWindow
from schemas.provider import INTERVALS
from streams.job_requests import PART_BARS, PART_QUOTES_NS, from_json, requests, to_json

START = datetime(2025, 1, 6, 14, 30, tzinfo=UTC)
SYMBOLS = tuple(f"S{n}" for n in range(400))


def bars_of(part: BarsRequest, job: BarsFetchJob) -> int:
    length = INTERVAL_NS.get(job.interval, DAY_NS)
    return -(-(part.end_ns - part.start_ns) // length) * len(part.symbols)


@given(
    st.sampled_from(INTERVALS),
    st.integers(1, 400),
    st.integers(1, 60 * 24 * 60),
    st.timedeltas(timedelta(0), timedelta(days=1)),
    st.booleans(),
)
def test_bars_are_asked_once_each(
    interval: str, symbols: int, minutes: int, later: timedelta, extended: bool
) -> None:
    minutes = min(minutes, MAX_BARS_PER_JOB // symbols)
    start = START + later
    job = BarsFetchJob(
        job_id="j",
        symbols=SYMBOLS[:symbols],
        interval=interval,  # type: ignore[arg-type]
        window=TimeWindow(start=start, end=start + timedelta(minutes=minutes)),
        extended_hours=extended,
    )
    parts = [part for part in requests(job) if isinstance(part, BarsRequest)]
    assert {(p.interval, p.adjustment, p.extended_hours) for p in parts} == {(interval, "raw", extended)}
    windows: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for part in parts:
        windows.setdefault(part.symbols, []).append((part.start_ns, part.end_ns))
        # days are never cut; a part may have the whole of one symbol
        assert bars_of(part, job) <= PART_BARS + len(part.symbols) or interval == "1d"
    assert Counter(s for group in windows for s in group) == Counter(job.symbols)
    for spans in windows.values():
        assert spans[0][0] == job.window.start_ns
        assert spans[-1][1] == job.window.end_ns
        assert all(before[1] == after[0] for before, after in pairwise(spans))
        # a bar that is cut in two would be asked twice
        assert interval == "1d" or all(end % INTERVAL_NS[job.interval] == 0 for _, end in spans[:-1])


def test_a_small_job_is_one_request() -> None:
    window = TimeWindow(start=START, end=START + timedelta(hours=6, minutes=30))
    (part,) = requests(BarsFetchJob(job_id="j", symbols=SYMBOLS[:100], interval="1m", window=window))
    assert part.symbols == SYMBOLS[:100]


def test_the_latest_quotes_are_one_request() -> None:
    (part,) = requests(QuotesFetchJob(job_id="j", symbols=SYMBOLS))
    assert part == QuotesRequest(SYMBOLS)


@given(st.integers(1, 5), st.integers(1, 30 * 60))
def test_quotes_are_asked_by_symbol_and_hour(symbols: int, minutes: int) -> None:
    window = TimeWindow(start=START, end=START + timedelta(minutes=minutes))
    parts = requests(QuotesFetchJob(job_id="j", symbols=SYMBOLS[:symbols], window=window))
    asked: Counter[str] = Counter()
    for part in parts:
        assert part.start_ns is not None
        assert part.end_ns is not None
        assert 0 < part.end_ns - part.start_ns <= PART_QUOTES_NS
        (symbol,) = part.symbols
        asked[symbol] += part.end_ns - part.start_ns
    assert asked == dict.fromkeys(SYMBOLS[:symbols], minutes * 60_000_000_000)


def test_a_request_comes_back_from_json_as_it_was() -> None:
    for request in (
        BarsRequest(("BRK.B", "AAPL"), "5m", 1, 2, "split", extended_hours=False),
        QuotesRequest(("AAPL",), 1, 2),
        QuotesRequest(("AAPL",)),
    ):
        assert from_json(msgspec.json.decode(msgspec.json.encode(to_json(request)))) == request
