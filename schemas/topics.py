"""The topic catalogue: every topic there is, what is in it and how it is kept.

``tapeflow topics apply`` creates them, ``tapeflow topics diff`` compares, ``docs/reference/topics.md`` is
made from here.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from schemas.candle import Candle
from schemas.control import ControlMessage
from schemas.correction import TradeCancel, TradeCorrection
from schemas.discontinuity import Discontinuity
from schemas.jobs import BackfillJob, BarsFetchJob, QuotesFetchJob
from schemas.outcome import ProviderOutcome
from schemas.provider_health import ProviderHealth
from schemas.quote import Quote, QuoteMarker, QuoteTick
from schemas.trade import ClockTick, TradeTick

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
#: an original of the broker's largest size still fits with our headers
DLQ_MAX_BYTES = 2_097_152


#: the broker compacts closed segments only; by its default one is open for a week, or for a gibibyte
SEGMENT_MS = 600_000


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic, as it is declared to the broker and described to people."""

    name: str
    key: str
    models: tuple[type[BaseModel], ...]
    """What a value is: one of these; none means the bytes of another topic."""
    partitions: int
    retention_ms: int
    summary: str
    max_message_bytes: int = 1_048_588
    """Kafka's own default."""
    public: bool = False
    """Others may consume it: a change of its model is a change of contract."""
    compact: bool = False
    """The last value of each key stays for ever; `retention_ms` says nothing then."""
    ticks: bool = True
    """Fed by or made from ticks: TOPIC_PARTITIONS sets how many partitions it has."""

    def partitions_here(self, tick_partitions: int) -> int:
        """Return how many partitions it has where TOPIC_PARTITIONS is ``tick_partitions`` (0: not set)."""
        return (self.ticks and tick_partitions) or self.partitions

    @property
    def config(self) -> dict[str, str]:
        """Broker settings.

        LogAppendTime: back-filled history would otherwise be deleted by its event time, and "in the
        future" could not be judged the same way twice.
        """
        kept = (
            {"cleanup.policy": "compact", "segment.ms": str(SEGMENT_MS)}
            if self.compact
            else {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms)}
        )
        return {
            **kept,
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": str(self.max_message_bytes),
        }


JOBS = TopicSpec(
    "md.jobs.v1",
    "job_id",
    (BarsFetchJob, QuotesFetchJob, BackfillJob),
    6,
    7 * DAY_MS,
    "What to fetch: bars, quotes, a hole to fill; told apart by `job_type`.",
    ticks=False,
)
TRADES = TopicSpec(
    "md.trades.v1",
    "symbol",
    (TradeTick, ClockTick, Discontinuity, TradeCancel, TradeCorrection),
    12,
    2 * DAY_MS,
    "Trades of live feeds, what takes them back, their clocks, and where records may be missing.",
)
QUOTES_RAW = TopicSpec(
    "md.quotes.raw.v1",
    "symbol",
    (QuoteTick, ClockTick, Discontinuity),
    12,
    DAY_MS,
    "Quotes of live feeds as they came, their clocks, and where records may be missing.",
)
QUOTES = TopicSpec(
    "md.quotes.v1",
    "symbol",
    (Quote, QuoteMarker),
    12,
    2 * DAY_MS,
    "Quotes in one meaning whatever the vendor, in order and numbered by symbol, each once; and, on every "
    "partition and without a key, where some may be missing.",
    public=True,
)
QUOTES_LATEST = TopicSpec(
    "md.quotes.latest.v1",
    "symbol",
    (Quote,),
    12,
    0,
    "The best provider's last quote of each symbol, at most one in 250 ms; it never goes back in time.",
    public=True,
    compact=True,
)
CANDLES = TopicSpec(
    "md.candles.v1",
    "symbol",
    (Candle,),
    12,
    7 * DAY_MS,
    "Candles: provisional, final, and the revisions of final ones.",
    public=True,
)
DEAD_LETTERS = TopicSpec(
    "md.dlq.v1",
    "as it was",
    (),
    12,
    14 * DAY_MS,
    "Records that can never be used: the original key and bytes, with the reason in `dlq.*` headers.",
    max_message_bytes=DLQ_MAX_BYTES,
)
CONTROL = TopicSpec(
    "md.control.v1",
    "kind",
    (ControlMessage,),
    1,
    0,
    "Accepted settings, by version: every worker reads all of it and takes the last.",
    compact=True,
    ticks=False,
)
PROVIDER_OUTCOMES = TopicSpec(
    "md.provider-outcomes.v1",
    "provider",
    (ProviderOutcome,),
    3,
    DAY_MS,
    "What became of each request to a provider; all of one provider in one partition.",
    ticks=False,
)
PROVIDER_HEALTH = TopicSpec(
    "md.provider-health.v1",
    "provider",
    (ProviderHealth,),
    1,
    0,
    "The provider table: every worker reads all of it and routes by the last record of each provider.",
    compact=True,
    ticks=False,
)

#: Outputs and dead letters keep the partition of their input: those of ticks all have equally many.
TOPICS = (
    JOBS,
    TRADES,
    QUOTES_RAW,
    QUOTES,
    QUOTES_LATEST,
    CANDLES,
    PROVIDER_OUTCOMES,
    PROVIDER_HEALTH,
    CONTROL,
    DEAD_LETTERS,
)
