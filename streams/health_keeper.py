"""Who keeps the provider table: of each provider the worker that holds the partition of its outcomes.

It goes on from the provider's record in the table, which says how far the outcomes are in it: whatever is
read twice counts once, and whoever takes over begins where the last record ends. An outcome is acknowledged
when a record that has it in it is on the topic.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaError
from faust.types import TP
from mode import Service
from pydantic import ValidationError

from domain.provider_state import changed, fold, fresh, tick
from schemas.errors import Poison, Reason
from schemas.outcome import ProviderOutcome
from schemas.provider import PROVIDERS, ProviderName
from schemas.provider_health import ProviderHealth
from schemas.topics import PROVIDER_HEALTH, PROVIDER_OUTCOMES
from schemas.verdict import poison_of
from streams import guard
from streams.guard import Diverted, Single
from streams.outcomes import home
from streams.output import Message
from streams.provider_table import forget, older
from streams.routing_fields import health_rules

if TYPE_CHECKING:
    from streams.app import MarketApp

#: the clock moves the table so often, and notices what the group has dealt
TICK_S = 0.2
#: what every worker need not know at once is published so often
PACE_S = 1.0
RETRY_S = 0.5
HEADERS: list[tuple[str, bytes]] = [
    ("content-type", b"application/json"),
    ("schema", b"provider-health.v1"),
]


@dataclass(slots=True)
class _Kept:
    """One provider."""

    health: ProviderHealth
    published: ProviderHealth | None
    """As the topic has it, to our knowledge."""
    due: float = 0.0
    """Monotonic seconds before which only what `changed` calls a change is published."""


class HealthKeeper(Service):
    """Folds the outcomes of the partitions that this worker holds; `agents.health` feeds it."""

    def __init__(self, app: MarketApp, **kw: Any) -> None:
        """Take the app for its services, its settings and what the group has dealt to it."""
        super().__init__(**kw)
        self._app = app
        self._topic = app.settings.topic(PROVIDER_OUTCOMES)
        self._table_topic = app.settings.topic(PROVIDER_HEALTH)
        self._partitions = app.settings.partitions(PROVIDER_OUTCOMES)
        self._adopted: tuple[int, frozenset[int]] = (0, frozenset())
        """Generation of the group and our partitions in it, as of when we went on from the table."""
        self._adopting = asyncio.Lock()
        self._kept: dict[ProviderName, _Kept] = {}
        self._unpublished: deque[tuple[ProviderName, Single]] = deque()
        self._urgent = asyncio.Event()
        self._folded = asyncio.Condition()
        self._probe_ids: dict[ProviderName, str] = {}

    @property
    def kept(self) -> Mapping[ProviderName, ProviderHealth]:
        """The providers that are ours to keep, as of the last outcome and the last tick."""
        return {provider: kept.health for provider, kept in self._kept.items()}

    async def until_folded(self, provider: ProviderName, probe_id: str) -> None:
        """Return when the outcome of a probe has been folded."""
        async with self._folded:
            await self._folded.wait_for(lambda: self._probe_ids.get(provider) == probe_id)

    async def take(self, event: Single) -> None:
        """Fold one outcome; it is acknowledged when it is published.

        Raises:
            Fatal: poison could not be delivered to the dead letters.
        """
        if not await self._holds(event.tp.partition):
            event.ack()  # of an assignment that has ended: whoever holds the partition now reads it again
            return
        try:
            outcome = self._decode(event)
        except Poison as poison:
            await guard.divert(self._app, event.tp, Diverted(event.record, poison, "health"))
            event.ack()
            return
        provider, record = outcome.provider, event.record
        now_ns = record.timestamp * 1_000_000
        kept = self._kept.get(provider)
        if kept is None:
            started = fresh(provider, now_ns, partition=event.tp.partition, position=record.offset)
            known = self._app.services.provider_table.health.get(provider)
            kept = self._kept[provider] = _Kept(known or started, known)
        self._app.counters.providers.outcomes_folded += record.offset >= kept.health.position
        folded = fold(
            kept.health, outcome, health_rules(self._app.settings), now_ns=now_ns, position=record.offset + 1
        )
        self._move(kept, folded)
        self._unpublished.append((provider, event))
        if outcome.purpose == "probe":
            async with self._folded:
                self._probe_ids[provider] = outcome.id
                self._folded.notify_all()

    def _decode(self, event: Single) -> ProviderOutcome:
        value = event.record.value
        if not value:
            raise Poison(Reason.EMPTY, "value: no bytes")
        try:
            outcome = ProviderOutcome.model_validate_json(value)
        except ValidationError as exc:
            raise poison_of(exc) from None
        where = home(outcome.provider, self._partitions)
        if where != event.tp.partition:
            # it would have two keepers
            raise Poison(
                Reason.SCHEMA, f"provider: outcomes of {outcome.provider} belong in partition {where}"
            )
        return outcome

    def _move(self, kept: _Kept, health: ProviderHealth) -> None:
        if health is kept.health:
            return
        if changed(kept.health, health):
            self._urgent.set()
            if kept.health.state != health.state:
                self.log.warning(
                    "%s: %s -> %s: %s", health.provider, kept.health.state, health.state, health.reason
                )
        kept.health = health

    @Service.task
    async def _keep(self) -> None:
        while not self.should_stop:
            await self._wait()
            await self.step()

    async def step(self) -> None:
        """Let time pass in the providers that are ours, publish what is due, acknowledge what is published.

        Raises:
            Fatal: see `Output.deliver`.
        """
        if await self._adopt():
            self._tick()
            await self._publish()
            self._acknowledge()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(TICK_S):
                await self._urgent.wait()
        except TimeoutError:
            pass
        self._urgent.clear()

    async def _holds(self, partition: int) -> bool:
        generation, held = self._adopted
        if generation == self._app.consumer_generation_id and partition in held:
            return True
        while not await self._adopt():
            if self.should_stop:
                return False
            await self.sleep(RETRY_S)
        return partition in self._adopted[1]

    def _dealt(self) -> tuple[int, frozenset[int]]:
        app = self._app
        generation = app.consumer_generation_id
        if generation <= 0:  # the consumer may not have been started
            return 0, frozenset()
        assigned = app.consumer.assignment()
        return generation, frozenset(tp.partition for tp in assigned if tp.topic == self._topic)

    async def _adopt(self) -> bool:
        """Go on from the table, if the group has dealt anew; return whether we know what is ours.

        What was folded and not published is forgotten: it is not acknowledged, and comes again.
        """
        app = self._app
        async with self._adopting:
            dealt = self._dealt()
            if dealt == self._adopted:
                return True
            held = dealt[1]
            table = app.services.provider_table
            try:
                # the last word of whoever kept it before
                await table.catch_up()
                ends = await app.chunk_consumer.bounds([TP(self._topic, p) for p in held]) if held else {}
                kept: dict[ProviderName, _Kept] = {}
                for provider in PROVIDERS:
                    partition = home(provider, self._partitions)
                    known = table.health.get(provider)
                    if partition in held and known is not None:
                        kept[provider] = await self._taken_over(known, ends[TP(self._topic, partition)])
            except (KafkaError, TimeoutError) as exc:
                self.log.warning("the provider table cannot be read to its end yet: %r", exc)
                return False
            self._unpublished.clear()
            self._kept, self._adopted = kept, dealt
            return dealt == self._dealt()

    async def _taken_over(self, known: ProviderHealth, bounds: tuple[int, int]) -> _Kept:
        tp = TP(self._topic, home(known.provider, self._partitions))
        begin, end = bounds
        if known.partition == tp.partition and known.position <= end:
            return _Kept(known, known)
        self.log.warning(
            "%s: its record is of outcomes up to %d of partition %d, but %r ends at %d: was it made anew?",
            known.provider,
            known.position,
            known.partition,
            tp,
            end,
        )
        await self._deliver([(*forget(known.provider), [])])
        await self._app.services.provider_table.catch_up()
        moved = known.model_copy(update={"partition": tp.partition, "position": begin})
        return _Kept(moved, None)

    def _tick(self) -> None:
        app = self._app
        rules, now_ns = health_rules(app.settings), app.clock.now_ns()
        table = app.services.provider_table.health
        for provider, kept in self._kept.items():
            theirs = table.get(provider)
            if theirs is not None and older(kept.health, theirs):
                # a former owner was further than it had published, and has done so late
                kept.health = kept.published = theirs
            self._move(kept, tick(kept.health, rules, now_ns))

    async def _publish(self) -> None:
        app = self._app
        now, now_ns = app.clock.monotonic(), app.clock.now_ns()
        table = app.services.provider_table.health
        messages: list[Message] = []
        sent: dict[ProviderName, ProviderHealth] = {}
        for provider, kept in self._kept.items():
            theirs = table.get(provider)
            if kept.published is kept.health and theirs is not None and theirs.worker == app.worker_id:
                continue
            urgent = kept.published is None or changed(kept.published, kept.health)
            if not urgent and now < kept.due and not app.rebalancing:
                continue
            record = kept.health.model_copy(update={"worker": app.worker_id, "ts": now_ns})
            messages.append((provider.encode(), record.model_dump_json().encode(), HEADERS))
            kept.due = now + PACE_S
            sent[provider] = kept.health
        if messages:
            kept_now = self._kept
            await self._deliver(messages)
            for provider, health in sent.items():
                kept_now[provider].published = health

    async def _deliver(self, messages: list[Message]) -> None:
        await self._app.services.output.deliver({(self._table_topic, 0): messages})

    def _acknowledge(self) -> None:
        waiting: deque[tuple[ProviderName, Single]] = deque()
        for provider, event in self._unpublished:
            kept = self._kept.get(provider)
            published = kept and kept.published
            if published and event.record.offset < published.position:
                event.ack()
            else:
                waiting.append((provider, event))
        self._unpublished = waiting
