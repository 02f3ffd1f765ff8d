"""The provider table on a real Kafka: the same for everybody, its owner may die, one probe at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import Producer
from faust.types import TP

from domain.clock import SystemClock
from domain.provider_state import fold, fresh
from providers.base import BarRow, BarsRequest, BarsResult, QuotesRequest, QuotesResult, Source
from providers.capability import Access
from schemas.outcome import Asked, ProviderOutcome
from schemas.provider import PROVIDERS, ProviderName
from schemas.provider_health import ProviderHealth
from schemas.topics import PROVIDER_HEALTH, PROVIDER_OUTCOMES
from streams import topics
from streams.guard import Diverted, Single, SingleRecord
from streams.health_keeper import HealthKeeper
from streams.outcomes import Outcomes, home
from streams.output import Output
from streams.prober import Prober
from streams.provider_table import ProviderTable
from streams.routing_fields import health_rules
from streams.settings import Settings
from streams.status import Counters
from tests.integration import records

pytestmark = pytest.mark.integration

PARTITIONS = PROVIDER_OUTCOMES.partitions
EVERY = range(PARTITIONS)
DAY_NS = 86_400_000_000_000
PATIENCE_S = 15.0


class _Event:
    def __init__(self) -> None:
        self.acked = False

    def ack(self) -> bool:
        self.acked = True
        return True


class Vendor:
    """Everybody's vendor: counts who asks at a time, in the whole fleet; answers when it is well."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.by: list[str] = []
        self.under_way = self.most = 0

    def client(self, worker: str) -> Any:
        async def bars(request: BarsRequest) -> BarsResult:
            await self._answer(worker)
            row = BarRow("AAPL", request.start_ns, 1, 1, 1, 1, 1, None, None)
            source = Source("polygon", "sip", "consolidated", "polygon.v1")
            return BarsResult([row], source, "raw", (request.start_ns, request.end_ns))

        async def quotes(_: QuotesRequest) -> QuotesResult:
            raise AssertionError("a job has asked for bars, so a probe does")

        return SimpleNamespace(bars=bars, quotes=quotes)

    async def _answer(self, worker: str) -> None:
        self.by.append(worker)
        self.times.append(time.monotonic())
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0.3)
        self.under_way -= 1


async def _not_judged(*_: Any) -> None:
    """Polygon is the only vendor here: nobody can say what it left out."""


class Worker:
    """The services of a worker on a real broker; the group is the test, which deals the partitions."""

    def __init__(self, bootstrap: str, prefix: str, name: str, vendor: Vendor, settings: Settings) -> None:
        self.bootstrap, self.worker_id = bootstrap, name
        self.settings, self.clock, self.counters = settings, SystemClock(), Counters()
        self.rebalancing = self.should_stop = False
        self.consumer_generation_id = 0
        self.held: set[TP] = set()
        self.consumer = SimpleNamespace(assignment=lambda: self.held)
        self.chunk_consumer = SimpleNamespace(bounds=self._bounds)
        self.diverted: list[Diverted] = []
        self.output = Output(bootstrap, name, 30.0, self.clock)
        self.table = ProviderTable(bootstrap, name, settings.topic(PROVIDER_HEALTH), self._divert)
        self.outcomes = Outcomes(
            self.output.deliver, settings.topic(PROVIDER_OUTCOMES), PARTITIONS, self.counters.providers
        )
        self.services = SimpleNamespace(
            output=self.output,
            provider_table=self.table,
            outcomes=self.outcomes,
            clients={"polygon": vendor.client(name)},
            vendors=SimpleNamespace(accesses={"polygon": Access("polygon", "massive", "paid")}),
            reconciler=SimpleNamespace(incompleteness=_not_judged),
        )
        app = cast(Any, self)
        self.keeper = self.services.health_keeper = HealthKeeper(app)
        self.prober = Prober(app)
        self.delivered: dict[int, list[tuple[int, _Event]]] = {p: [] for p in EVERY}
        self.committed = dict.fromkeys(EVERY, 0)
        self._reader: AIOKafkaConsumer | None = None
        self._reading: asyncio.Task[None] | None = None

    async def _divert(self, _: TP, diverted: Diverted) -> None:
        self.diverted.append(diverted)

    async def _bounds(self, tps: Iterable[TP]) -> dict[TP, tuple[int, int]]:
        assert self._reader is not None
        wanted = [TopicPartition(*tp) for tp in tps]
        ends = await self._reader.end_offsets(wanted)
        return {TP(*tp): (0, ends[tp]) for tp in wanted}

    @property
    def mine(self) -> list[Any]:
        return [self.output, self.table, self.outcomes, self.keeper, self.prober]

    async def start(self) -> None:
        for service in self.mine:
            await service.start()

    async def deal(self, generation: int, committed: dict[int, int]) -> None:
        """Give it every partition, from where the group has committed."""
        topic = self.settings.topic(PROVIDER_OUTCOMES)
        tps = {TopicPartition(topic, p): offset for p, offset in committed.items()}
        self._reader = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, group_id=None, enable_auto_commit=False
        )
        await self._reader.start()
        self._reader.assign(list(tps))
        for tp, offset in tps.items():
            self._reader.seek(tp, offset)
        self.committed = dict(committed)
        self.held = {TP(*tp) for tp in tps}
        self.consumer_generation_id = generation
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._reader is not None
        while True:
            for tp, batch in (await self._reader.getmany(timeout_ms=200)).items():
                for r in batch:
                    record = SingleRecord(r.offset, r.timestamp, r.timestamp_type, r.key, r.value, r.headers)
                    event = _Event()
                    self.delivered[tp.partition].append((r.offset, event))
                    await self.keeper.take(Single(TP(*tp), record, cast(Any, event)))

    def commits(self) -> dict[int, int]:
        """Where Kafka's offset of each partition is: behind the oldest that is not acknowledged."""
        for partition, delivered in self.delivered.items():
            while delivered and delivered[0][1].acked:
                self.committed[partition] = delivered.pop(0)[0] + 1
        return dict(self.committed)

    async def kill(self) -> None:
        """End it as kill -9 does: nothing more is folded, published, acknowledged or probed."""
        assert self._reading is not None
        self._reading.cancel()
        for service in (self.keeper, self.prober):
            await service.stop()

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        for service in reversed(self.mine):
            await service.stop()
        if self._reader is not None:
            await self._reader.stop()


class Fleet:
    """Topics, a vendor and workers."""

    def __init__(self, bootstrap: str, prefix: str, stack: AsyncExitStack) -> None:
        self.bootstrap, self.prefix, self.vendor, self._stack = bootstrap, prefix, Vendor(), stack
        self.settings = Settings(_env_file=None, topic_prefix=prefix)

    async def worker(self, name: str) -> Worker:
        worker = Worker(self.bootstrap, self.prefix, name, self.vendor, self.settings)
        self._stack.push_async_callback(worker.close)
        await worker.start()
        return worker

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[ProviderTable]:
        """Somebody who reads the table and nothing else, from now on."""

        async def divert(_: TP, diverted: Diverted) -> None:
            raise AssertionError(diverted.poison)

        table = ProviderTable(self.bootstrap, "late", self.settings.topic(PROVIDER_HEALTH), divert)
        await table.start()
        try:
            yield table
        finally:
            await table.stop()

    def all_outcomes(self) -> list[tuple[int, int, int, ProviderOutcome]]:
        """Partition, offset, time in milliseconds and outcome of every record."""
        return [
            (
                m.partition() or 0,
                m.offset() or 0,
                m.timestamp()[1],
                ProviderOutcome.model_validate_json(m.value() or b""),
            )
            for m in records.read(self.bootstrap, self.settings.topic(PROVIDER_OUTCOMES))
        ]

    def all_health(self) -> list[ProviderHealth]:
        topic = self.settings.topic(PROVIDER_HEALTH)
        return [
            ProviderHealth.model_validate_json(m.value() or b"") for m in records.read(self.bootstrap, topic)
        ]


@pytest.fixture
async def fleet(kafka: Any, topic_prefix: str) -> AsyncIterator[Fleet]:
    await topics.apply(kafka.bootstrap, prefix=topic_prefix, partitions=3)
    async with AsyncExitStack() as stack:
        yield Fleet(kafka.bootstrap, topic_prefix, stack)


def outcome(n: int, how: str = "ok", provider: ProviderName = "polygon", **more: Any) -> ProviderOutcome:
    clock = SystemClock()
    end = clock.now_ns() - DAY_NS
    asked = Asked(symbol="AAPL", interval="1d", start=end - 7 * DAY_NS, end=end)
    fields = {"provider": provider, "id": f"o{n}", "ts": clock.now_ns(), "outcome": how, "asked": asked}
    return ProviderOutcome.model_validate(fields | {"latency_ms": float(n)} | more)


async def until(condition: Callable[[], Any], what: str, timeout: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout:.0f} s: {what}"
        await asyncio.sleep(0.02)


def folded(fleet: Fleet, provider: ProviderName) -> ProviderHealth:
    """Every outcome of a provider that is on the topic, folded once each."""
    rules = health_rules(fleet.settings)
    mine = [row for row in fleet.all_outcomes() if row[3].provider == provider]
    health = fresh(provider, mine[0][2] * 1_000_000, partition=mine[0][0], position=mine[0][1])
    for _, offset, ms, one in mine:
        health = fold(health, one, rules, now_ns=ms * 1_000_000, position=offset + 1)
    return health


async def test_readers_agree_whenever_they_began(fleet: Fleet) -> None:
    owner, other = await fleet.worker("w1"), await fleet.worker("w2")
    await owner.deal(1, dict.fromkeys(EVERY, 0))
    for n in range(90):
        # from both workers, as jobs report them
        (owner if n % 2 else other).outcomes.report(
            outcome(n, "away" if n % 9 == 0 else "ok", PROVIDERS[n % 3])
        )
        await asyncio.sleep(0.01)
    await until(lambda: sum(h.position for h in owner.table.health.values()) >= 90, "all are published")
    async with fleet.reading() as late:
        await until(
            lambda: late.version == other.table.version == owner.table.version, "the same version everywhere"
        )
        assert late.health == other.table.health == owner.table.health
        assert late.standings() == other.table.standings()
        assert set(late.health) == set(PROVIDERS[:3])
    for provider in PROVIDERS[:3]:
        assert owner.table.health[provider].samples == folded(fleet, provider).samples
    await until(lambda: sum(owner.commits().values()) == 90, "every outcome is acknowledged")
    assert len(owner.table.health["polygon"].samples) == 30
    assert other.keeper.kept == {}


async def test_an_owner_dies_and_another_goes_on(fleet: Fleet) -> None:
    first, second = await fleet.worker("w1"), await fleet.worker("w2")
    await first.deal(1, dict.fromkeys(EVERY, 0))
    for n in range(20):
        first.outcomes.report(outcome(n, provider=("polygon", "iex")[n % 2]))
    await until(lambda: len(second.table.health) == 2, "both are known")
    await until(lambda: sum(first.commits().values()) == 20, "all are acknowledged")
    history = second.table.health["polygon"].history
    assert history
    # some of these are folded, some published, some neither when it dies
    committed = first.commits()
    for n in range(20, 60):
        second.outcomes.report(outcome(n, ("ok", "empty")[n % 5 == 0], ("polygon", "iex")[n % 2]))
        await asyncio.sleep(0.01)
    await until(lambda: first.keeper.kept["polygon"].position > 12, "some are folded")
    await first.kill()
    published = second.table.health["polygon"].position
    await second.deal(2, committed)
    await until(lambda: sum(second.commits().values()) == 60, "all are acknowledged")
    both: tuple[ProviderName, ...] = ("polygon", "iex")
    truths = {provider: folded(fleet, provider) for provider in both}
    # acknowledged is what is published; the table of a reader is behind by a fetch
    await until(
        lambda: all(second.table.health[p].position >= truths[p].position for p in both), "all are read"
    )
    for provider in both:
        truth, last = truths[provider], second.table.health[provider]
        assert len(last.samples) == 30, "each outcome counts once"
        assert (last.samples, last.position, last.asked) == (truth.samples, truth.position, truth.asked)
        assert (last.worker, last.failures_in_row) == ("w2", 0)
    last = second.table.health["polygon"]
    assert last.history[: len(history)] == history, "the history survives"
    skipped = 60 - sum(committed.values()) - second.counters.providers.outcomes_folded
    assert skipped >= 0
    assert published <= last.position


async def test_probes_go_one_at_a_time_and_bring_it_back(fleet: Fleet) -> None:
    # as by default the failures are forgotten when the first probe goes
    fleet.settings = Settings(
        _env_file=None, topic_prefix=fleet.prefix, breaker_cooldown_s=1.0, health_window_s=1.0
    )
    owner, other = await fleet.worker("w1"), await fleet.worker("w2")
    await owner.deal(1, dict.fromkeys(EVERY, 0))
    begun = time.monotonic()
    for n in range(3):
        other.outcomes.report(outcome(n, "away", detail="503 Service Unavailable"))
    await until(lambda: not other.table.standings()["polygon"].fit, "everybody knows that polygon is away")
    assert time.monotonic() - begun < 2.0
    await until(lambda: other.table.standings()["polygon"].fit, "polygon is asked again")
    assert fleet.vendor.most == 1
    assert fleet.vendor.by == ["w1"] * 3, "the owner alone probes, three times"
    probes = [one for _, _, _, one in fleet.all_outcomes() if one.purpose == "probe"]
    assert [(probe.outcome, probe.worker) for probe in probes] == [("ok", "w1")] * 3
    states = [health.state for health in fleet.all_health()]
    assert list(dict.fromkeys(states)) == ["open", "half_open", "closed"]
    opened = next(health for health in fleet.all_health() if health.state == "open")
    half_open = next(health for health in fleet.all_health() if health.state == "half_open")
    assert opened.reason == "3 failures in a row, the last: away (503 Service Unavailable)"
    assert opened.retry_at is not None
    assert half_open.since >= opened.retry_at >= opened.since + 1_000_000_000


async def test_who_else_produces_outcomes_finds_the_same_partitions(fleet: Fleet) -> None:
    topic = fleet.settings.topic(PROVIDER_OUTCOMES)
    producer = Producer({"bootstrap.servers": fleet.bootstrap, "partitioner": "murmur2"})
    for provider in PROVIDERS:
        producer.produce(topic, outcome(1, provider=provider).model_dump_json(), key=provider)
    assert producer.flush(10) == 0
    found = {one.provider: partition for partition, _, _, one in fleet.all_outcomes()}
    assert found == {provider: home(provider, PARTITIONS) for provider in PROVIDERS}
