"""The local stack: the first broker and database that this machine can have, ready to work with."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass

from migrations.runner import migrate_up
from sandbox.compose import ComposePair
from sandbox.embedded import EmbeddedPair
from sandbox.home import Home, Record, Urls
from sandbox.local import LocalPair
from sandbox.lock import locked
from sandbox.pair import GivenPair, Pair, Part
from sandbox.readiness import Say, silent
from schemas.errors import ConfigInvalid, DependencyAway, Transient
from schemas.topics import TOPICS
from streams import topics as catalogue

AUTO = "auto"
#: what can be started, in the order in which it is tried
KINDS: Mapping[str, type[ComposePair | LocalPair | EmbeddedPair]] = {
    pair.kind: pair for pair in (ComposePair, LocalPair, EmbeddedPair)
}


@dataclass(frozen=True, slots=True)
class Running:
    """A stack that is ready."""

    kind: str
    urls: Urls


class Stack:
    """What ``tapeflow up``, ``down`` and ``status`` do."""

    def __init__(
        self, home: Home | None = None, *, environment: Mapping[str, str] | None = None, say: Say = silent
    ) -> None:
        """Take the folder of the state, and where to look for URLs; both from the process if not given."""
        environment = os.environ if environment is None else environment
        self.home = home or Home.find(environment)
        self._given = Urls.of(environment)
        self._say = say

    def up(self, kind: str = AUTO, *, prefix: str = "", partitions: int = 0) -> Running:
        """Start what does not run, migrate the database, create the topics.

        Interrupted or failed, it stops again what it has started.

        Args:
            kind: ``auto``, or one of KINDS.
            prefix: put before every topic's name.
            partitions: of the tick topics; 0: as the catalogue says.

        Raises:
            DependencyAway: something is missing, or did not start.
            ConfigInvalid: another kind is up.
            TapeflowError: as migrations and topics say.
        """
        self.home.path.mkdir(parents=True, exist_ok=True)
        with locked(self.home.lock, self._say, "another tapeflow is at work here: waiting for it"):
            before = self.home.record()
            pair = self._choose(kind, before)
            if not isinstance(pair, GivenPair):
                self.home.note(Record(pair.kind, up=True, urls=before.urls if before else None))
            try:
                urls = pair.start({prefix + spec.name: spec.partitions_here(partitions) for spec in TOPICS})
                migrate_up(urls.database, on_progress=self._say)
                self._apply_topics(pair, urls, prefix, partitions)
            except BaseException:  # Ctrl-C too: what was started here is stopped
                pair.undo()
                self.home.note(before)
                raise
            if not isinstance(pair, GivenPair):
                self.home.note(Record(pair.kind, up=True, urls=urls))
        return Running(pair.kind, urls)

    def down(self, *, wipe: bool = False) -> list[str]:
        """Stop what ``up`` started, whatever its kind, and return the names; delete its data if asked."""
        if not self.home.path.exists():
            return []
        with locked(self.home.lock, self._say, "another tapeflow is at work here: waiting for it"):
            before = self.home.record()
            stopped = []
            for make in KINDS.values():
                stopped += make(self.home, silent).stop(wipe=wipe)
            if before is not None:
                self.home.note(None if wipe else Record(before.kind, up=False, urls=before.urls))
        return stopped

    def status(self) -> tuple[str | None, list[Part]]:
        """Return the kind that is, or should be, up, and its parts; (None, []) if none is."""
        record = self.home.record()
        if record is not None and record.up:
            return record.kind, KINDS[record.kind](self.home, silent).parts()
        if self._given is not None and not self._is_ours(record):
            return GivenPair.kind, GivenPair(self._given).parts()
        return None, []

    def _choose(self, kind: str, before: Record | None) -> Pair:
        if kind == AUTO and self._given is not None and not self._is_ours(before):
            self._say("KAFKA_BOOTSTRAP_SERVERS and DATABASE_URL are set: nothing is started")
            return GivenPair(self._given)
        if before is not None and before.up:
            if kind not in (AUTO, before.kind):
                raise ConfigInvalid(f"a stack of kind {before.kind} is up here: tapeflow down ends it")
            kind = before.kind
        if kind != AUTO:
            pair = KINDS[kind](self.home, self._say)
            pair.require()
            return pair
        return self._first()

    def _first(self) -> Pair:
        reasons = []
        for make in KINDS.values():
            pair = make(self.home, self._say)
            try:
                pair.require()
            except DependencyAway as missing:
                reasons.append(f"{pair.kind}: {missing}")
                continue
            if isinstance(pair, EmbeddedPair):
                # less than the real ones: nobody shall take it for them
                for reason in reasons:
                    self._say(f"not {reason}")
            return pair
        raise DependencyAway("; ".join(reasons))

    def _is_ours(self, record: Record | None) -> bool:
        """Whether the environment names what was started here: after ``export $(tapeflow up)`` it does."""
        return record is not None and record.urls is not None and record.urls == self._given

    def _apply_topics(self, pair: Pair, urls: Urls, prefix: str, partitions: int) -> None:
        if not pair.takes_topics:
            return
        try:
            created = asyncio.run(catalogue.apply(urls.kafka, prefix=prefix, partitions=partitions))
        except Transient as exc:
            raise DependencyAway(str(exc)) from exc
        for name in created:
            self._say(f"created topic {name}")
