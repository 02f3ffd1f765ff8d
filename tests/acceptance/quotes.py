"""A rig whose workers are judged by what they make of raw quotes."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import psycopg
from confluent_kafka import Message as KafkaMessage
from typing_extensions import override

from tests.acceptance.rig import Rig, wait_until
from tests.acceptance.sampler import Sampler
from tests.invariants import Message
from tests.oracle import Input
from tests.quote_invariants import QuoteOutcome, quote_violations
from tests.quote_oracle import Quote, QuoteTruth, best, work_out_quotes
from tests.quotes_market import QuotesMarket

ROWS = """
    select symbol, n, (extract(epoch from ts) * 1000000)::int8 as ts_us, ts_ns, bid, bid_size, ask, ask_size,
           provider, feed, seq, flags, coverage, provider_rank
    from quotes_l1
"""


class QuoteRig(Rig):
    """Fresh topics, a fresh database, and the workers of one test of quotes."""

    @property
    @override
    def source(self) -> str:
        """The input topic."""
        return f"{self.prefix}md.quotes.raw.v1"

    @property
    def stream(self) -> str:
        """The topic that consumers read."""
        return f"{self.prefix}md.quotes.v1"

    @property
    def latest(self) -> str:
        """The compacted topic of last quotes."""
        return f"{self.prefix}md.quotes.latest.v1"

    def produce_quotes(self, market: QuotesMarket, rate: float | None = None) -> None:
        """Start to produce a market in the present; ``rate`` records a second, None: that of the market."""
        module = "tests.acceptance.quote_producer"
        pace = market.rate if rate is None else rate
        self.run_producer(module, self.bootstrap, self.source, json.dumps(asdict(market)), str(pace))

    def rows(self) -> list[dict[str, Any]]:
        """All rows of quotes_l1."""
        return list(self.each_row())

    def each_row(self) -> Iterator[dict[str, Any]]:
        """Yield every row of quotes_l1."""
        with psycopg.connect(self.database_url) as connection, connection.cursor("rows") as cursor:
            cursor.itersize = 20_000
            cursor.execute(ROWS)
            assert cursor.description is not None
            names = [column.name for column in cursor.description]
            for row in cursor:
                yield dict(zip(names, row, strict=True))

    def quote_truth(self) -> QuoteTruth:
        """What must have come out, from the records of the input topic."""
        return work_out_quotes(
            Input(m.partition(), m.offset(), m.key(), m.value(), tuple(m.headers() or ()), m.timestamp()[1])
            for m in self.each(self.source)
        )

    def wait_shown(self, truth: QuoteTruth, timeout: float = 30) -> None:
        """Wait until the view shows the last of everything: at most a second by a worker's wall clock."""
        by_symbol: defaultdict[str, list[Quote]] = defaultdict(list)
        for quote in truth.quotes.values():
            by_symbol[quote.symbol].append(quote)
        last = {list(best(quotes))[-1].id for quotes in by_symbol.values()}

        def shown() -> bool:
            return last <= {message(m).header("id") for m in self.each(self.latest)}

        wait_until(shown, timeout, "the view shows the last quotes")

    def verify_quotes(self, sampler: Sampler, truth: QuoteTruth, handovers: int = 0) -> None:
        """Compare table, topics and positions with the oracle, once everything is stored.

        Args:
            sampler: that has watched.
            truth: of all that was produced.
            handovers: how often a partition may have got another owner.
        """
        begun = time.monotonic()
        outcome = QuoteOutcome(
            self.each_row(),
            map(message, self.each(self.stream)),
            ((message(m), m.timestamp()[1]) for m in self.each(self.latest)),
            map(message, self.each(self.dlq)),
            sampler.positions,
            dict(self.query("select part, next_offset from sink_offsets where topic = %s", self.source)),
            self.ends(self.source),
            handovers,
        )
        assert sampler.positions
        found = quote_violations(truth, outcome, topic=self.source, group=self.group)
        published = sum(self.ends(self.stream).values())
        print(
            f"{truth.records:,} records: {len(truth.quotes):,} quotes, {truth.duplicates:,} duplicates, "
            f"{len(truth.markers)} markers, {len(truth.dead):,} dead letters, {truth.clocks} clock records; "
            f"{sum(self.ends(self.latest).values()):,} of the latest, "
            f"{published - sum(map(len, truth.emitted.values())):,} repeats on the stream, "
            f"{len(sampler.positions):,} samples, {len(found)} violations "
            f"({time.monotonic() - begun:.1f} s to compare)"
        )
        assert not found, "\n".join(found)


def message(m: KafkaMessage) -> Message:
    """Return a record of an output topic as it is compared."""
    partition = m.partition()
    assert partition is not None
    headers: Any = m.headers() or ()
    key: Any = m.key()
    value: Any = m.value()
    return Message(partition, key, value, tuple(headers))
