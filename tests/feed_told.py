"""What a live feed has said in the topics, held against what the market did."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from aiokafka.partitioner import DefaultPartitioner

from tests.dense_market import Ident

S = 1_000_000_000
LATENESS_NS = 2 * S


@dataclass(frozen=True, slots=True)
class Hole:
    """One discontinuity, on one partition."""

    begin: int
    end: int
    reason: str

    @property
    def seconds(self) -> float:
        return (self.end - self.begin) / S


@dataclass(slots=True)
class Partition:
    """What one feed has said on one partition, in order."""

    ticks: list[Ident] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    clocks: list[int] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Ticks earlier than what a clock before them had promised."""

    def said(self, kind: str, value: dict[str, Any]) -> Ident | None:
        what, ts = value.get("type", "tick"), value["ts_event"]
        if what == "clock":
            self.clocks.append(ts)
        elif what == "discontinuity":
            self.holes.append(Hole(value["ts_from"], ts, value["reason"]))
        elif what == "tick":
            tick = Ident(kind, value["symbol"], ts)
            self.ticks.append(tick)
            if self.clocks and ts < (promised := max(self.clocks) - LATENESS_NS):
                self.broken.append(f"{tick} after a promise of {promised}")
            return tick
        return None


@dataclass(slots=True)
class Told:
    """All that one feed has said."""

    partitions: int
    found: dict[tuple[str, int], Partition] = field(default_factory=lambda: defaultdict(Partition))
    appended_ms: list[int] = field(default_factory=list)
    """When the broker took each tick."""

    @property
    def ticks(self) -> set[Ident]:
        return {tick for partition in self.found.values() for tick in partition.ticks}

    @property
    def promised_ns(self) -> int:
        """What every partition has a clock of; 0 if one has none."""
        everywhere = [self.found[k, p] for k in self.kinds for p in range(self.partitions)]
        return min((max(partition.clocks, default=0) for partition in everywhere), default=0)

    @property
    def kinds(self) -> set[str]:
        return {kind for kind, _ in self.found}

    def missing(self, market: Iterable[Ident]) -> list[Ident]:
        """Return what the market did and the topics have not."""
        ticks = self.ticks
        return [tick for tick in market if tick not in ticks]

    def untold(self, missing: Iterable[Ident]) -> list[Ident]:
        """Return what is not within a hole that its own partition tells of."""
        return [
            tick
            for tick in missing
            if not any(h.begin <= tick.ts_ns <= h.end for h in self._partition(tick).holes)
        ]

    def violations(self, market: Iterable[Ident]) -> list[str]:
        """Return what must not be, whatever happened: the first few of each kind."""
        times = Counter(tick for partition in self.found.values() for tick in partition.ticks)
        return [
            *[f"twice: {tick}" for tick, n in times.items() if n > 1][:5],
            *[f"missing and not told: {tick}" for tick in self.untold(self.missing(market))][:5],
            *[text for partition in self.found.values() for text in partition.broken][:5],
        ]

    def holes(self, reason: str) -> list[Hole]:
        """Return the holes of a reason; fails unless every partition has as many, of the same bounds."""
        told = {
            (kind, p): [h for h in self.found[kind, p].holes if reason in h.reason]
            for kind in self.kinds
            for p in range(self.partitions)
        }
        first = next(iter(told.values()))
        assert first, f"no hole of {reason!r}: {[h.reason for p in self.found.values() for h in p.holes]}"
        assert all(holes == first for holes in told.values()), told
        return first

    def longest_silence_s(self) -> float:
        """Return the longest time between two ticks, by the broker's clock."""
        return max(b - a for a, b in pairwise(sorted(self.appended_ms))) / 1000

    def summary(self, market: int, missing: int) -> str:
        """Return what is worth to be known of a run, in a line; of the market there were so many ticks."""
        told = sorted({f"{h.reason[:40]!r} {h.seconds:.1f} s" for p in self.found.values() for h in p.holes})
        return (
            f"{market:,} ticks, {missing:,} missing and told, {self.longest_silence_s():.1f} s without any: "
            f"{', '.join(told)}"
        )

    def _partition(self, tick: Ident) -> Partition:
        numbers = list(range(self.partitions))
        return self.found[tick.kind, int(DefaultPartitioner()(tick.symbol.encode(), numbers, numbers))]
