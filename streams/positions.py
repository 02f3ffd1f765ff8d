"""Where to go on: positions in the database, checked against what the partitions hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from faust.types import TP

from domain import snapshot
from domain.clock import Clock
from schemas.errors import PositionLost
from sinks.database import Database
from sinks.offsets import OffsetSink, Stored
from streams.tenure import Tenure

#: what is stored -> (the fold's state, the offset at which it stands, at most ``next_offset``)
Restore = Callable[[Stored], tuple[Any, int]]


@dataclass(slots=True)
class Positions:
    """Loads tenures for the partitions that were assigned."""

    database: Database
    offsets: OffsetSink
    clock: Clock
    budget_s: float
    stands_at: Callable[[Any], int] | None = None
    """Of a restored state: records below this only warm it up, and it does without those that are gone."""

    async def load(
        self,
        bounds: Mapping[TP, tuple[int, int]],
        former: Mapping[TP, Tenure],
        restores: Mapping[str, Restore],
    ) -> dict[TP, Tenure]:
        """Return a new tenure for each partition.

        Args:
            bounds: beginning and end of each partition's log.
            former: the tenure we last had of it, if any.
            restores: by topic.

        Raises:
            PositionLost: a position lies outside its partition.
            OutageOutlasted: the database did not answer in time.
        """
        unseen = {tp: starting_at(begin) for tp, (begin, _) in bounds.items()}
        stored = await self.database.patiently(self.budget_s, self.offsets.load, unseen)
        now = self.clock.monotonic()
        return {
            tp: self._tenure(tp, stored[tp], former.get(tp), restores[tp.topic], bounds[tp], now)
            for tp in bounds
        }

    def _tenure(
        self,
        tp: TP,
        stored: Stored,
        old: Tenure | None,
        restore: Restore,
        bounds: tuple[int, int],
        now: float,
    ) -> Tenure:
        at = stored.next_offset
        if old is not None and old.folded == old.stored == at:
            # we held it before, folded exactly what is stored, and nobody moved it: the state is still right
            return Tenure(tp, at, at, at, at, old.state, now)
        state, resume = restore(stored)
        if self.stands_at is not None:
            resume = max(resume, min(self.stands_at(state), bounds[0]))
        check(tp, stored.next_offset, resume, bounds)
        return Tenure(tp, at, delivered=resume, folded=resume, suppress=at, state=state, moved_at=now)


def starting_at(offset: int) -> Stored:
    """Return the position of a partition that is read from ``offset`` on, with nothing known before it."""
    return Stored(offset, offset, snapshot.jumped(offset) if offset else None)


def check(tp: TP, next_offset: int, resume: int, bounds: tuple[int, int]) -> None:
    """Refuse a position that its partition does not have.

    Raises:
        PositionLost: with what to do about it.
    """
    begin, end = bounds
    advice = "see `tapeflow offsets show`, decide with `tapeflow offsets reset`"
    where = f"{tp.topic}[{tp.partition}]"
    if next_offset > end:
        raise PositionLost(
            f"{where}: {next_offset} is stored but the partition ends at {end}: was the topic re-created? "
            f"{advice}"
        )
    if resume < begin:
        raise PositionLost(
            f"{where}: reading must go on at {resume} but the partition begins at {begin}: retention "
            f"passed it, the records between are lost. {advice}"
        )
