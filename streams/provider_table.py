"""``md.provider-health.v1``: the provider table, the same on every worker at the same version."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiokafka import ConsumerRecord
from faust.types import TP
from pydantic import ValidationError
from typing_extensions import override

from domain.routing import Standing, standing
from schemas.errors import Poison, Reason
from schemas.provider import PROVIDERS, ProviderName
from schemas.provider_health import ProviderHealth
from schemas.verdict import poison_of
from streams.follower import Follower
from streams.guard import Diverted

Divert = Callable[[TP, Diverted], Awaitable[None]]


class ProviderTable(Follower):
    """Reads the whole topic before the worker joins the group, and follows it."""

    def __init__(self, bootstrap_servers: str, client_id: str, topic: str, divert: Divert, **kw: Any) -> None:
        """Take what to follow and where its poison goes; see `Follower`."""
        super().__init__(bootstrap_servers, client_id, topic, "the provider table", **kw)
        self._divert = divert
        self._health: dict[ProviderName, ProviderHealth] = {}
        self._standings = self._judged()
        self.version = 0
        """Offset of the last record that was taken, plus one; 0 before the first."""
        self.superseded = 0
        """Records that came after a newer one: of an owner that did not know that it was none any more."""

    @property
    def health(self) -> Mapping[ProviderName, ProviderHealth]:
        """The last record of each provider; one of which nothing is known is absent."""
        return self._health

    def standings(self) -> Mapping[ProviderName, Standing]:
        """Return what the table says of every provider. It is replaced, never changed, by a later version."""
        return self._standings

    async def wait_for_change(self, version: int) -> None:
        """Return when the version is another one."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.version != version)

    @override
    async def take(self, records: Sequence[ConsumerRecord], *, live: bool) -> None:
        """Take the records that are no older than what is known of their provider.

        The same records make the same table, wherever the reading began: what compaction removes is
        behind a newer record of the same provider.
        """
        for record in records:
            forgotten = _forgotten(record)
            if forgotten is not None:
                self._health.pop(forgotten, None)
                continue
            try:
                health = _decode(record)
            except Poison as poison:
                self.log.warning(
                    "%s[0]@%d is no health of a provider: %s", self._tp.topic, record.offset, poison
                )
                if live:
                    await self._divert(TP(*self._tp), Diverted(record, poison, "provider_table"))
            else:
                self._accept(health)
        self._standings = self._judged()
        self.version = records[-1].offset + 1

    def _accept(self, health: ProviderHealth) -> None:
        known = self._health.get(health.provider)
        if known is not None and older(health, known):
            self.superseded += 1
            self.log.warning(
                "%s: a record of %s at %d came after one of %s at %d",
                health.provider,
                health.worker,
                health.position,
                known.worker,
                known.position,
            )
            return
        if known is None or known.state != health.state:
            self.log.info("%s: %s", health.provider, standing(health).reason)
        self._health[health.provider] = health

    def _judged(self) -> Mapping[ProviderName, Standing]:
        return {provider: standing(self._health.get(provider)) for provider in PROVIDERS}


def forget(provider: ProviderName) -> tuple[bytes, None]:
    """Return key and value of a record after which nothing is known of a provider.

    The next record counts then, whatever its position.
    """
    return provider.encode(), None


def older(one: ProviderHealth, other: ProviderHealth) -> bool:
    """Return whether fewer outcomes are in it, or as many and fewer changes of state."""
    return (one.position, one.transitions) < (other.position, other.transitions)


def _forgotten(record: ConsumerRecord) -> ProviderName | None:
    if record.value or record.key is None:
        return None
    return next((provider for provider in PROVIDERS if provider.encode() == record.key), None)


def _decode(record: ConsumerRecord) -> ProviderHealth:
    if not record.value:
        raise Poison(Reason.EMPTY, "value: no bytes")
    try:
        return ProviderHealth.model_validate_json(record.value)
    except ValidationError as exc:
        raise poison_of(exc) from None
