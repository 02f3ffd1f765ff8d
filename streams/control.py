"""``md.control.v1``: every worker reads all of it, adopts the last, and can publish the next."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiokafka import ConsumerRecord
from faust.types import TP
from mode import Service
from pydantic import ValidationError
from typing_extensions import override

from schemas.control import ControlMessage, policy_version
from schemas.errors import BrokerAway, ConfigInvalid, DatabaseAway, Poison, Reason
from schemas.topics import CONTROL
from schemas.verdict import poison_of
from sinks import settings_versions
from sinks.settings_versions import Adopted
from streams import guard, setting_sources
from streams.follower import ANSWER_S, Follower
from streams.settings import LIVE, candidate, digest
from streams.status import SettingsStatus

if TYPE_CHECKING:
    from streams.app import MarketApp

RETRY_S = 1.0
#: versions that wait for a database that is away; older ones are still on the topic until it is compacted
MAX_UNWRITTEN = 1_000


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the files say now, compared with what is in force."""

    changed: tuple[str, ...]
    """Live settings that a reload would change."""
    pinned: tuple[str, ...]
    """Live settings that a file sets and the environment of this worker overrides."""
    requires_restart: tuple[str, ...]
    """Settings that differ and cannot change in a running process."""
    document: dict[str, Any] = field(repr=False)


class Control(Follower):
    """The fleet's settings: followed for as long as the worker lives."""

    def __init__(self, app: MarketApp, **kw: Any) -> None:
        """Take the app whose settings it swaps."""
        settings = app.settings
        super().__init__(
            settings.kafka_bootstrap_servers,
            f"tapeflow-{app.worker_id}-control",
            settings.topic(CONTROL),
            "the settings of the fleet",
            **kw,
        )
        self._app = app
        self._unwritten: deque[Adopted] = deque(maxlen=MAX_UNWRITTEN)
        self._rejected = ""

    @property
    def version(self) -> str:
        """The version in force."""
        return self._app.in_force.version

    def refused(self) -> None:
        """Count a reload that was refused as invalid."""
        self._app.counters.settings["refused"] += 1

    def status(self) -> SettingsStatus:
        """Return what the page says of the settings."""
        in_force = self._app.in_force
        return SettingsStatus(in_force.number, in_force.version, self._rejected)

    @Service.task
    async def _keep_history(self) -> None:
        while not self.should_stop:
            if self._unwritten:
                waiting = tuple(self._unwritten)
                try:
                    await self._app.services.database.attempt(settings_versions.write, waiting)
                except DatabaseAway as exc:
                    self.log.debug("settings_versions: %s", exc)  # noted in its reachability
                else:
                    for _ in waiting:
                        self._unwritten.popleft()
            await self.sleep(RETRY_S)

    @override
    async def take(self, records: Sequence[ConsumerRecord], *, live: bool) -> None:
        """Adopt one after the other; what is no control message is a dead letter, once it is seen live."""
        for record in records:
            try:
                message = _decode(record)
            except Poison as poison:
                self.log.warning("%s[0]@%d is no control message: %s", self._tp.topic, record.offset, poison)
                if live:
                    await guard.divert(self._app, TP(*self._tp), guard.Diverted(record, poison, "control"))
            else:
                self._adopt(Adopted(record.offset + 1, message, record.timestamp))

    def _adopt(self, adopted: Adopted) -> None:
        in_force, message = self._app.in_force, adopted.message
        level = in_force.settings.log_level
        version = policy_version(adopted.number, message.digest)
        try:
            in_force.adopt(message.document, adopted.number)
        except ConfigInvalid as exc:
            # the environment of this worker pins what does not go with it: it stays as it is, and says so
            self._rejected = f"settings {version} do not go with what this worker's environment pins: {exc}"
            self._app.counters.settings["rejected"] += 1
            self.log.warning("%s", self._rejected)
            return
        self._rejected = ""
        self._app.counters.settings["adopted"] += 1
        self._unwritten.append(adopted)
        self.log.info("settings %s in force: %s", version, ", ".join(message.changed) or "unchanged")
        if in_force.settings.log_level != level:
            logging.getLogger().setLevel(in_force.settings.log_level)

    def propose(self) -> Proposal:
        """Read the files and compare; changes nothing.

        Raises:
            ConfigInvalid: with every key that is wrong.
        """
        in_force = self._app.in_force
        reading = setting_sources.read()
        document = dict(candidate(reading))
        mine = in_force.settings.model_dump(mode="json")
        theirs = reading.settings.model_dump(mode="json")
        secrets = {name for name in theirs if setting_sources.secret(name)}
        differs = [n for n in theirs if n not in LIVE and n not in secrets and theirs[n] != mine[n]]
        differs += [n for n in secrets if getattr(reading.settings, n) != getattr(in_force.settings, n)]
        return Proposal(
            changed=tuple(sorted(n for n, value in document.items() if in_force.document.get(n) != value)),
            pinned=tuple(sorted(set(LIVE) & reading.overridden)),
            requires_restart=tuple(sorted(differs)),
            document=document,
        )

    async def publish(self, proposal: Proposal, *, actor: str, note: str = "") -> str:
        """Publish what was proposed, wait until it is in force here, and return the policy version.

        A document that is in force already is not published again.

        Raises:
            BrokerAway: it did not come back in time; it may still.
            ConfigInvalid: it came back and does not go with what this worker's environment pins.
        """
        app, in_force = self._app, self._app.in_force
        if in_force.number and digest(proposal.document) == digest(in_force.document):
            app.counters.settings["unchanged"] += 1
            return in_force.version
        message = ControlMessage(
            digest=digest(proposal.document),
            document=proposal.document,
            changed=proposal.changed,
            actor=actor,
            note=note,
            ts_sent=app.clock.now_ns(),
        )
        try:
            async with asyncio.timeout(ANSWER_S):
                offset = await app.services.output.publish(
                    self._tp.topic,
                    0,
                    message.kind.encode(),
                    message.model_dump_json().encode(),
                    [("content-type", b"application/json"), ("schema", b"control.v1")],
                )
                await self.until_read(offset + 1)
        except TimeoutError as exc:
            raise BrokerAway(f"the broker did not take the settings within {ANSWER_S:.0f} s") from exc
        if self._rejected:
            raise ConfigInvalid(self._rejected)
        return policy_version(offset + 1, message.digest)


def _decode(record: ConsumerRecord) -> ControlMessage:
    if not record.value:
        raise Poison(Reason.EMPTY, "value: no bytes")
    try:
        message = ControlMessage.model_validate_json(record.value)
    except ValidationError as exc:
        raise poison_of(exc) from None
    if digest(message.document) != message.digest:
        raise Poison(Reason.SCHEMA, "digest: not that of the document")
    return message
