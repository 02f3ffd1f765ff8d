"""Workers that keep the provider table, on a log in memory, at a time that a test sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

from faust.types import TP
from typing_extensions import override

from schemas.outcome import ProviderOutcome
from schemas.topics import DEAD_LETTERS, PROVIDER_HEALTH, PROVIDER_OUTCOMES
from streams.guard import Diverted, Single, SingleRecord
from streams.health_keeper import HealthKeeper
from streams.outcomes import home
from streams.output import Message
from streams.provider_table import ProviderTable
from streams.settings import Settings
from streams.status import Counters
from tests.unit.streams.clocks import SetClock
from tests.unit.streams.consumers import Record

PARTITIONS = PROVIDER_OUTCOMES.partitions
DEFAULTS = Settings(_env_file=None)
START_S = 1_767_623_400.0


class Broker:
    """The topics of outcomes, of the table and of dead letters."""

    def __init__(self) -> None:
        self.clock = SetClock(START_S)
        self.outcomes: dict[int, list[SingleRecord]] = {p: [] for p in range(PARTITIONS)}
        self.committed = dict.fromkeys(range(PARTITIONS), 0)
        self.table: list[Record] = []
        self.dead_letters: list[Message] = []
        self.away = False

    def append(self, *outcomes: ProviderOutcome) -> None:
        """Append outcomes as any producer does, by their key."""
        for outcome in outcomes:
            self.append_raw(home(outcome.provider, PARTITIONS), outcome.model_dump_json().encode())

    def append_raw(self, partition: int, value: bytes | None) -> None:
        log = self.outcomes[partition]
        log.append(SingleRecord(len(log), int(self.clock.seconds * 1_000), 1, None, value, ()))

    async def deliver(self, messages: Mapping[tuple[str, int], Iterable[Message]]) -> None:
        for (topic, partition), items in messages.items():
            if topic == DEAD_LETTERS.name:
                self.dead_letters += items
                continue
            assert (topic, partition) == (PROVIDER_HEALTH.name, 0)
            for key, value, headers in items:
                now_ms = int(self.clock.seconds * 1_000)
                self.table.append(Record(len(self.table), value, key, now_ms, headers=headers))


class MemoryTable(ProviderTable):
    """Reads the log of the broker when it is told to."""

    def __init__(self, broker: Broker) -> None:
        self.diverted: list[Diverted] = []
        super().__init__("nowhere:1", "unit", PROVIDER_HEALTH.name, self._note)
        self._broker = broker
        self.caught_up = 0

    async def _note(self, _tp: TP, diverted: Diverted) -> None:
        self.diverted.append(diverted)

    async def follow(self) -> None:
        """Take what is new."""
        new = self._broker.table[self.read :]
        if new:
            await self.take(cast(Sequence[Any], new), live=True)
            await self._reached(len(self._broker.table))

    @override
    async def catch_up(self) -> None:
        self.caught_up += 1
        if self._broker.away:
            raise TimeoutError
        await self.follow()


class _Event:
    def __init__(self) -> None:
        self.acked = False

    def ack(self) -> bool:
        self.acked = True
        return True


class Worker:
    """An app with a keeper; `deal` is what the group does, `deliver` what Faust does."""

    def __init__(self, broker: Broker, name: str = "w1", **settings: Any) -> None:
        self.broker = broker
        self.worker_id = name
        self.clock = broker.clock
        self.settings = Settings(_env_file=None, **settings) if settings else DEFAULTS
        self.counters = Counters()
        self.consumer_generation_id = 0
        self.rebalancing = False
        self.held: set[TP] = set()
        self.consumer = SimpleNamespace(assignment=lambda: self.held)
        self.chunk_consumer = SimpleNamespace(bounds=self._bounds)
        self.table = MemoryTable(broker)
        self.services = SimpleNamespace(
            provider_table=self.table, output=SimpleNamespace(deliver=broker.deliver), clients={}
        )
        self.keeper = HealthKeeper(cast(Any, self))
        self.services.health_keeper = self.keeper
        self.delivered: dict[int, list[tuple[int, _Event]]] = {}

    async def _bounds(self, tps: Iterable[TP]) -> dict[TP, tuple[int, int]]:
        return {tp: (0, len(self.broker.outcomes[tp.partition])) for tp in tps}

    def deal(self, generation: int, *partitions: int) -> None:
        """Have the group deal partitions, which are read from where it has committed."""
        self.consumer_generation_id = generation
        self.held = {TP(PROVIDER_OUTCOMES.name, p) for p in partitions} | {TP("md.trades.v1", 0)}
        self.delivered = {p: [] for p in partitions}
        self._next = {p: self.broker.committed[p] for p in partitions}

    async def deliver(self, limit: int = 1_000) -> None:
        """Hand over the next records of each partition."""
        for partition in self.delivered:
            for record in self.broker.outcomes[partition][self._next[partition] :][:limit]:
                self._next[partition] += 1
                event = _Event()
                self.delivered[partition].append((record.offset, event))
                await self.keeper.take(
                    Single(TP(PROVIDER_OUTCOMES.name, partition), record, cast(Any, event))
                )

    def commit(self) -> None:
        """Commit behind the oldest record that is not acknowledged."""
        for partition, delivered in self.delivered.items():
            while delivered and delivered[0][1].acked:
                self.broker.committed[partition] = delivered.pop(0)[0] + 1

    async def step(self, after_s: float = 0.0) -> None:
        """Let time pass, then step, then follow the table."""
        self.clock.seconds += after_s
        await self.keeper.step()
        await self.table.follow()
        self.commit()

    def unacknowledged(self) -> int:
        return sum(not event.acked for log in self.delivered.values() for _, event in log)
