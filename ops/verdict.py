"""How is it? One judgement of a worker, for the page, the probes and whoever looks at the JSON."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

from domain.routing import standing
from ops.amounts import count, duration
from streams.status import DependencyStatus, PartitionStatus, WorkerStatus

HEARTBEAT_LIMIT_S = 30.0
"""An event loop that has not turned for so long is dead."""
OUTAGE_GRACE_S = 10.0
"""A dependency may be away for so long before the worker counts as failing."""
STALLED_AFTER_S = 30.0
"""A partition with lag whose position has not moved for so long is stalled."""
BEHIND_RECORDS = 10_000
"""More lag than the records of two chunks: behind."""
POISON_SHARE = 0.01
"""More dead letters than this share of the input: degraded."""

PartitionWord = Literal["OK", "BEHIND", "STALLED", "unknown"]
Component = Literal[
    "event_loop",
    "invariants",
    "database",
    "broker",
    "phase",
    "settings",
    "partitions",
    "dead_letters",
    "providers",
]
COMPONENTS: tuple[Component, ...] = get_args(Component)

_PHASES = {
    "starting": "starting",
    "waiting_for_database": "waiting for the database",
    "waiting_for_broker": "waiting for the broker",
    "rebalancing": "rebalancing: the group is handing out its partitions",
    "stopping": "stopping",
}
STANDBY = "no partition is assigned: the group has more workers than partitions, this one stands by"


class Level(enum.IntEnum):
    """How bad it is."""

    OK = 0
    DEGRADED = 1
    FAIL = 2


class Finding(NamedTuple):
    """One thing that is not as it should be."""

    component: Component
    level: Level
    sentence: str


class Verdict(NamedTuple):
    """The judgement: the worst finding gives the level and the sentence."""

    level: Level
    sentence: str
    findings: tuple[Finding, ...]
    """Worst first; empty if all is well."""


def verdict(status: WorkerStatus) -> Verdict:
    """Judge one snapshot."""
    findings = tuple(sorted(_findings(status), key=lambda f: -f.level))
    if findings:
        return Verdict(findings[0].level, findings[0].sentence, findings)
    return Verdict(Level.OK, _all_is_well(status), ())


def word(partition: PartitionStatus) -> PartitionWord:
    """Say how a partition is doing, as Burrow would."""
    lag = partition.lag
    if lag is None:
        return "unknown"
    if lag and partition.moved_s > STALLED_AFTER_S:
        return "STALLED"
    return "BEHIND" if lag > BEHIND_RECORDS else "OK"


def violations(partition: PartitionStatus) -> tuple[str, ...]:
    """Name the broken links of committed <= stored <= end."""
    broken = []
    if partition.committed is not None and partition.committed > partition.stored:
        broken.append("committed_beyond_stored")
    if partition.end is not None and partition.stored > partition.end:
        broken.append("stored_beyond_end")
    return tuple(broken)


def waiting_for(name: str, dependency: DependencyStatus) -> str:
    """Return the sentence for a dependency that is away."""
    return f"waiting for the {name}: {dependency.detail or 'not reachable'}"


def phase_sentence(status: WorkerStatus) -> str:
    """Return why the worker is not running; empty if it is."""
    if status.phase == "running":
        return ""
    if status.phase == "waiting_for_database" and not status.database.up:
        return waiting_for("database", status.database)
    if status.phase == "waiting_for_broker" and not status.broker.up:
        return waiting_for("broker", status.broker)
    return status.detail or _PHASES[status.phase]


def _all_is_well(status: WorkerStatus) -> str:
    if not status.partitions:
        return STANDBY
    lag = sum(p.lag or 0 for p in status.partitions)
    return f"keeping up: {count(lag)} records wait in {_partition_count(len(status.partitions))}"


def _findings(status: WorkerStatus) -> Iterator[Finding]:
    if status.heartbeat_s > HEARTBEAT_LIMIT_S:
        sentence = f"the event loop has not turned for {duration(status.heartbeat_s)}"
        yield Finding("event_loop", Level.FAIL, sentence)
    yield from _invariants(status)
    for name, dependency in (("database", status.database), ("broker", status.broker)):
        if not dependency.up:
            level = Level.FAIL if dependency.since_s > OUTAGE_GRACE_S else Level.DEGRADED
            component: Component = "database" if name == "database" else "broker"
            since = f"(since {duration(dependency.since_s)}; input stays in Kafka)"
            yield Finding(component, level, f"{waiting_for(name, dependency)} {since}")
    sentence = phase_sentence(status)
    if sentence and status.database.up and status.broker.up:
        yield Finding("phase", Level.DEGRADED, sentence)
    if status.settings.rejected:
        yield Finding("settings", Level.DEGRADED, status.settings.rejected)
    yield from _partitions(status)
    yield from _dead_letters(status)
    yield from _providers(status)


def _invariants(status: WorkerStatus) -> Iterator[Finding]:
    for p in status.partitions:
        broken = violations(p)
        if "committed_beyond_stored" in broken:
            sentence = (
                f"{p.topic}-{p.partition}: Kafka's committed offset {count(p.committed)} is ahead of the"
                f" database's {count(p.stored)}: records may be lost"
            )
            yield Finding("invariants", Level.FAIL, sentence)
        if "stored_beyond_end" in broken:
            sentence = (
                f"{p.topic}-{p.partition}: the database's offset {count(p.stored)} is beyond the end"
                f" {count(p.end)}: was the topic re-created?"
            )
            yield Finding("invariants", Level.FAIL, sentence)


def _partitions(status: WorkerStatus) -> Iterator[Finding]:
    by_word: dict[PartitionWord, list[PartitionStatus]] = {}
    for p in status.partitions:
        by_word.setdefault(word(p), []).append(p)
    stalled, behind = by_word.get("STALLED", []), by_word.get("BEHIND", [])
    if stalled:
        worst = max(stalled, key=lambda p: p.moved_s)
        sentence = (
            f"{_partition_count(len(stalled))} stalled: {worst.topic}-{worst.partition} has"
            f" {count(worst.lag or 0)} records and stored none for {duration(worst.moved_s)}"
        )
        moving = any(p.lag and word(p) != "STALLED" for p in status.partitions)
        yield Finding("partitions", Level.DEGRADED if moving else Level.FAIL, sentence)
    if behind:
        lag = sum(p.lag or 0 for p in behind)
        sentence = f"catching up: {_partition_count(len(behind))} {count(lag)} records behind"
        yield Finding("partitions", Level.DEGRADED, sentence)
    if "unknown" in by_word:
        sentence = (
            f"nothing is known yet of {_partition_count(len(by_word['unknown']))}: no fetch has returned"
        )
        yield Finding("partitions", Level.DEGRADED, sentence)


def _dead_letters(status: WorkerStatus) -> Iterator[Finding]:
    dead, total = status.rates.dead_lettered, status.rates.dead_lettered + status.rates.records_in
    if dead and dead > POISON_SHARE * total:
        sentence = f"{dead / total:.0%} of the input goes to the dead-letter topic ({dead:.1f}/s)"
        yield Finding("dead_letters", Level.DEGRADED, sentence)


def _providers(status: WorkerStatus) -> Iterator[Finding]:
    """Yield those that could be asked and are not; others are asked instead, so no worker fails by it."""
    for health in status.providers.health:
        judged = standing(health)
        if health.provider in status.providers.with_key and not judged.fit:
            yield Finding("providers", Level.DEGRADED, f"{health.provider} is not asked: {judged.reason}")


def _partition_count(n: int) -> str:
    return f"{n} partition" if n == 1 else f"{n} partitions"
