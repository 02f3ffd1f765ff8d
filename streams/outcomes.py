"""What became of each request, on its way to ``md.provider-outcomes.v1``; no job ever waits for it."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiokafka.partitioner import murmur2
from mode import Service
from typing_extensions import override

from schemas.errors import OutageOutlasted
from schemas.outcome import OF_ROWS, ProviderOutcome
from schemas.provider import Kind, ProviderName
from streams.output import Message, Target
from streams.status import ERRORS, ProviderCounters

Deliver = Callable[[Mapping[Target, list[Message]]], Awaitable[None]]

#: a batch waits so long for more
GATHER_S = 0.005
MAX_BATCH = 500
#: minutes of a busy worker; while the broker is away the oldest go first
MAX_WAITING = 10_000
HEADERS: list[tuple[str, bytes]] = [
    ("content-type", b"application/json"),
    ("schema", b"provider-outcome.v1"),
]


def home(provider: ProviderName, partitions: int) -> int:
    """Return the partition of a provider's outcomes: where Kafka's default partitioner puts its name."""
    return int(murmur2(provider.encode()) & 0x7FFFFFFF) % partitions


class Outcomes(Service):
    """Takes outcomes at once, counts them for the metrics, and sends them in batches."""

    def __init__(
        self, deliver: Deliver, topic: str, partitions: int, counters: ProviderCounters, **kw: Any
    ) -> None:
        """Take where they go.

        Args:
            deliver: as `Output.deliver`.
            topic: physical name.
            partitions: of it.
            counters: what is reported is counted there, and so is what had to be dropped.
            kw: as for every mode service.
        """
        super().__init__(**kw)
        self._deliver = deliver
        self._topic = topic
        self._partitions = partitions
        self._counters = counters
        self._waiting: deque[ProviderOutcome] = deque()
        self._some = asyncio.Event()

    def report(self, outcome: ProviderOutcome) -> None:
        """Take an outcome; returns at once, whatever the broker does."""
        self._count(outcome)
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self._counters.outcomes_dropped += 1
        self._waiting.append(outcome)
        self._some.set()

    def _count(self, outcome: ProviderOutcome) -> None:
        counters, provider = self._counters, outcome.provider
        if outcome.purpose in OF_ROWS:
            return
        if outcome.purpose == "job":
            counters.selected[provider, kind_of(outcome)] += 1
        if outcome.outcome in ERRORS:
            counters.errors[provider, outcome.outcome] += 1
        counters.latency[provider].add(outcome.latency_ms)

    @Service.task
    async def _send(self) -> None:
        while not self.should_stop:
            await self._some.wait()
            await asyncio.sleep(GATHER_S)
            await self._send_some()

    @override
    async def on_stop(self) -> None:
        """Send what is left, if the broker takes it."""
        while self._waiting:
            await self._send_some()

    async def _send_some(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
        if not self._waiting:
            self._some.clear()
        messages: defaultdict[Target, list[Message]] = defaultdict(list)
        for outcome in batch:
            target = self._topic, home(outcome.provider, self._partitions)
            messages[target].append(
                (
                    outcome.provider.encode(),
                    outcome.model_dump_json().encode(),
                    [*HEADERS, ("id", outcome.id.encode())],
                )
            )
        try:
            await self._deliver(messages)
        except OutageOutlasted as exc:
            # they tell of a time that has passed: no reason to end a worker that has nothing else to say
            self._counters.outcomes_dropped += len(batch)
            self.log.warning("%d outcomes did not reach the broker: %s", len(batch), exc)


def kind_of(outcome: ProviderOutcome) -> Kind:
    """Return the kind of policy by which the provider was chosen."""
    asked = outcome.asked
    if asked is None or asked.interval is None:
        return "quotes_l1"
    return "bars_1d" if asked.interval == "1d" else "bars_1m"
