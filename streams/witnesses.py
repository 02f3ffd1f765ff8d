"""Who can say whether a provider's bars are right, and what they say."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from domain.clock import Clock
from domain.reconcile import Bars, Span, Voice, Witness, split_between
from domain.routing import Standing
from providers.base import BarsRequest, Provider
from providers.capability import Access, can_serve
from providers.sessions import session_of
from schemas.errors import NotFound, ProviderError
from schemas.provider import ProviderName
from streams.series import Series

log: Final = logging.getLogger(__name__)


class Witnesses:
    """Vendors with a key. One that did not answer is not asked again until the next `Witnesses`."""

    def __init__(
        self,
        clients: Mapping[ProviderName, Provider],
        accesses: Mapping[ProviderName, Access],
        standings: Callable[[], Mapping[ProviderName, Standing]],
        authorities: Sequence[str],
        clock: Clock,
    ) -> None:
        """Ask nobody yet.

        Args:
            clients: of the vendors that have a key.
            accesses: of the same vendors.
            standings: of the provider table, now; a provider that it does not name is fit.
            authorities: whose word counts alone.
            clock: for what a plan shows, and what is settled.
        """
        self._clients = clients
        self._accesses = accesses
        self._standings = standings
        self._authorities = authorities
        self._clock = clock
        self._silent: set[ProviderName] = set()

    async def others(self, series: Series, window: Span, *, extended_hours: bool = True) -> list[Witness]:
        """Ask every other vendor that is fit and can have the same kind of bars; each has one voice."""
        request = series.request(window, extended_hours=extended_hours)
        vendors = {_vendor(self._accesses[series.provider])}
        voices: dict[ProviderName, Voice] = {}
        # of two doors to one vendor the one that is an authority
        for name in sorted(self._clients, key=lambda name: name not in self._authorities):
            vendor = _vendor(self._accesses[name])
            if vendor not in vendors and self._may(name, series, request):
                vendors.add(vendor)
                voices[name] = "authority" if name in self._authorities else "peer"
        words = await asyncio.gather(*(self._word(n, v, series, request) for n, v in voices.items()))
        return [word for word in words if word is not None]

    async def own_word(self, series: Series, window: Span, asked_ns: int) -> list[Witness]:
        """Ask the provider again, if what it served live is official by now: that session lies a day back."""
        session = session_of(window[0])
        if session_of(asked_ns) > session or session >= session_of(self._clock.now_ns()):
            return []
        name, request = series.provider, series.request(window)
        if name not in self._clients or not self._may(name, series, request):
            return []
        word = await self._word(name, "own", series, request)
        return [] if word is None else [word]

    def _may(self, name: ProviderName, series: Series, request: BarsRequest) -> bool:
        standing = self._standings().get(name)
        if name in self._silent or (standing is not None and not standing.fit):
            return False
        now_ns = self._clock.now_ns()
        return can_serve(self._accesses[name], request, now_ns=now_ns, coverage=series.coverage) is None

    async def _word(
        self, name: ProviderName, voice: Voice, series: Series, request: BarsRequest
    ) -> Witness | None:
        try:
            result = await self._clients[name].bars(request)
        except NotFound:
            return None
        except ProviderError as exc:
            log.debug("%s is no witness: %s", name, exc)
            self._silent.add(name)
            return None
        if (result.source.coverage, result.adjustment) != (series.coverage, series.adjustment):
            return None
        now_ns = self._clock.now_ns()
        bars = {row.ts_event: row for row in result.rows if series.counts(row.ts_event, now_ns, now_ns)}
        # no bars at all prove nothing: perhaps it does not know the symbol
        called = f"{name} later" if voice == "own" else name
        return Witness(called, voice, bars, result.covered_ns) if bars else None


def without_other_splits(series: Series, served: Bars, witnesses: Sequence[Witness]) -> list[Witness]:
    """Return the witnesses that know of the same splits: on its day vendors adjust at different hours."""
    if series.adjustment == "raw":
        return list(witnesses)
    heard = []
    for witness in witnesses:
        ratio = split_between(served, witness.bars)
        if ratio is None:
            heard.append(witness)
        else:
            log.info("%s: %s and %s differ by a split of %.4g", series, series.provider, witness.name, ratio)
    return heard


def _vendor(access: Access) -> str:
    """Return whose data it is: IEX's by way of alpaca is alpaca's word."""
    return "alpaca" if access.backend == "alpaca_iex" else access.provider
