"""Jobs for the workers of a rig, what became of them, and what the vendors' truth says of the rows."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import psycopg
from confluent_kafka import Producer

from providers.base import BarRow
from sandbox.market.calendar import instant_ns
from sandbox.market.market import Market
from sandbox.market.views import Views
from schemas.jobs import BarsFetchJob, QuotesFetchJob, TimeWindow, encode_job
from schemas.provider import Adjustment, Interval
from schemas.provider_health import ProviderHealth
from tests.acceptance.rig import Rig, wait_until
from tests.integration.providers.subject import SUBJECTS, Subject
from tests.integration.providers.truth import Truth

#: sessions that every vendor of the emulator has
SESSIONS = [date(2025, 11, day) for day in (4, 5, 6, 7, 10, 11, 12, 13, 14, 18, 19, 20, 21)]
HOUR_NS = 3_600_000_000_000
QUIET_NS = HOUR_NS // 3
SUBJECT_OF: dict[str, Subject] = {
    s.access.provider: s for s in SUBJECTS if s.access.backend != "alpaca_iex" and s.book != "iex"
}
SUBJECT_OF["iex"] = next(s for s in SUBJECTS if s.vendor == "tiingo")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a bars job asks, as numbers."""

    job_id: str
    symbols: tuple[str, ...]
    interval: Interval
    window: tuple[int, int]
    adjustment: Adjustment


def instant(ns: int) -> datetime:
    """Return a moment as jobs write it."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1_000)


def bars_job(wanted: Wanted, **more: Any) -> BarsFetchJob:
    """Return the job."""
    start, end = wanted.window
    return BarsFetchJob(
        job_id=wanted.job_id,
        symbols=wanted.symbols,
        interval=wanted.interval,
        window=TimeWindow(start=instant(start), end=instant(end)),
        adjustment=wanted.adjustment,
        **more,
    )


def mixed(symbols: Sequence[str], count: int, seed: int) -> Iterator[Wanted]:
    """Yield bars jobs of all kinds, no two of which ask for the same bar."""
    rng = random.Random(seed)
    hours = [(day, hour) for day in SESSIONS for hour in range(7, 19)]
    slots = [(symbol, day, hour) for symbol in symbols for day, hour in hours]
    rng.shuffle(slots)
    n = 0
    # the days of one symbol are one job each: those that no other job of days asks for
    days = [(symbol, adjustment) for symbol in symbols for adjustment in ("raw", "split")]
    while n < count:
        if n % 25 == 24 and days:
            symbol, adjustment = days.pop()
            window = instant_ns(SESSIONS[0], time(0)), instant_ns(SESSIONS[-1], time(0)) + 24 * HOUR_NS
            yield Wanted(f"job-{seed}-{n}", (symbol,), "1d", window, adjustment)  # type: ignore[arg-type]
        else:
            symbol, day, hour = slots.pop()
            start = instant_ns(day, time(hour))
            together = [symbol]
            if n % 6 == 0:  # several symbols at once, of the same hour
                others = [s for s in slots if s[1:] == (day, hour)][:3]
                for other in others:
                    slots.remove(other)
                    together.append(other[0])
            interval: Interval = "5m" if n % 7 == 3 else "1m"
            adjustment_: Adjustment = "split" if n % 11 == 5 else "raw"
            yield Wanted(f"job-{seed}-{n}", tuple(together), interval, (start, start + HOUR_NS), adjustment_)
        n += 1


class Jobs:
    """The jobs' side of a rig."""

    def __init__(self, rig: Rig, market: Market) -> None:
        self.rig = rig
        self.views = Views(market)
        self._producer = Producer(
            {"bootstrap.servers": rig.bootstrap, "partitioner": "murmur2", "log_level": 0}
        )

    def send(self, *jobs: BarsFetchJob | QuotesFetchJob) -> None:
        """Produce jobs and wait for the broker."""
        for job in jobs:
            self._producer.produce(f"{self.rig.prefix}md.jobs.v1", encode_job(job), key=job.job_id.encode())
        assert self._producer.flush(30) == 0

    def states(self) -> dict[str, int]:
        """Jobs by state."""
        return dict(self.rig.query("select state, count(*) from jobs group by state"))

    def wait_done(self, count: int, timeout: float) -> None:
        """Wait until so many are done, while every worker that is running lives."""

        def done() -> bool:
            for name, process in self.rig.workers.items():
                assert process.poll() is None, f"{name} ended with {process.poll()}:\n{self.rig.log_tail()}"
            return self.states().get("done", 0) >= count

        try:
            wait_until(done, timeout, f"{count} jobs are done")
        except AssertionError as exc:
            waits = self.rig.query(
                "select job_id, heal, why from waiting_requests order by job_id desc limit 5"
            )
            raise AssertionError(f"{exc}: {self.states()}\n{waits}\n{self.rig.log_tail()}") from None

    def attempts(self) -> list[dict[str, Any]]:
        """All attempts, by time."""
        with psycopg.connect(self.rig.database_url) as connection:
            cursor = connection.execute("select * from job_attempts order by at")
            assert cursor.description is not None
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def health(self) -> list[tuple[int, ProviderHealth]]:
        """Every record of the provider table: the broker's milliseconds, and what it says."""
        topic = f"{self.rig.prefix}md.provider-health.v1"
        return [
            (m.timestamp()[1], ProviderHealth.model_validate_json(m.value()))
            for m in self.rig.records(topic, 1)
        ]

    def differences(self, wanted: Iterable[Wanted]) -> list[str]:
        """Return what is not as it should be: every symbol of every job from one vendor, as that sees it."""
        rows = self._rows()
        found: list[str] = []
        for job in wanted:
            for symbol in job.symbols:
                stored = rows.pop((symbol, job.interval, job.adjustment, job.window), {})
                found += self._compare(job, symbol, stored)
        found += [f"{key}: rows that nobody asked for" for key, stored in rows.items() if stored]
        return found

    def _compare(self, job: Wanted, symbol: str, stored: dict[int, dict[str, Any]]) -> Iterator[str]:
        name = f"{job.job_id} {symbol} {job.interval} {job.adjustment}"
        providers = {row["provider"] for row in stored.values()}
        if not providers and not self.truth("polygon", symbol, job):
            return  # a quiet hour before the opening
        if len(providers) != 1:
            yield f"{name}: from {providers or 'nobody'}"
            return
        (provider,) = providers
        should = self.truth(provider, symbol, job)
        if (missing := {row.ts_event for row in should} - stored.keys()) or len(should) != len(stored):
            yield f"{name}: {len(stored)} rows, not {len(should)}; missing {sorted(missing)[:3]}"
            return
        for row in should:
            if (has := _values(stored[row.ts_event])) != (want := _wanted(row)):
                yield f"{name} at {row.ts_event}: {has}, not {want}"
                return

    def busy(self, wanted: Iterable[Wanted]) -> list[Wanted]:
        """Return the jobs of which every symbol traded to the end: of others a second vendor is asked.

        While that one is away, they wait.
        """

        def traded(job: Wanted, symbol: str) -> bool:
            rows = self.truth("polygon", symbol, job)
            return bool(rows) and (job.interval == "1d" or rows[-1].ts_event > job.window[1] - QUIET_NS)

        return [job for job in wanted if all(traded(job, symbol) for symbol in job.symbols)]

    def truth(self, provider: str, symbol: str, job: Wanted) -> list[BarRow]:
        """Return what a provider should have served of one symbol of a job."""
        truth = Truth(self.views, SUBJECT_OF[provider])
        return truth.bars((symbol,), job.interval, job.window, job.adjustment)

    def _rows(self) -> dict[tuple[Any, ...], dict[int, dict[str, Any]]]:
        """All candles by symbol, interval, adjustment and the window of the job that asks for them."""
        rows: defaultdict[tuple[Any, ...], dict[int, dict[str, Any]]] = defaultdict(dict)
        with psycopg.connect(self.rig.database_url) as connection:
            cursor = connection.execute(
                "select symbol, interval, adjustment, (extract(epoch from ts))::int8 * 1000000000 as ts, "
                "o, h, l, c, v, vwap, trade_count, provider, feed, coverage, rule, is_final "
                "from candles_intraday"
            )
            assert cursor.description is not None
            names = [column.name for column in cursor.description]
            for values in cursor:
                row = dict(zip(names, values, strict=True))
                key = row["symbol"], row["interval"], row["adjustment"], _window(row["interval"], row["ts"])
                rows[key][row["ts"]] = row
        return rows


def _window(interval: str, ts: int) -> tuple[int, int]:
    if interval == "1d":
        return instant_ns(SESSIONS[0], time(0)), instant_ns(SESSIONS[-1], time(0)) + 24 * HOUR_NS
    return ts - ts % HOUR_NS, ts - ts % HOUR_NS + HOUR_NS


def _values(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("o", "h", "l", "c", "v", "vwap", "trade_count"))


def _wanted(row: BarRow) -> tuple[Any, ...]:
    return row.open, row.high, row.low, row.close, row.volume, row.vwap, row.trade_count
