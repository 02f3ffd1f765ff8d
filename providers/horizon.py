"""Plans with a delay: how far they see now, and when they will see a whole window."""

from __future__ import annotations

from dataclasses import replace

from providers.base import INTERVAL_NS, BarsRequest
from providers.capability import Access, Delay, Lack, can_serve, capability
from providers.serving import Request
from providers.sessions import SECOND_NS, midnight_ns, session_of
from schemas.provider import Coverage


def seen_until(access: Access, request: Request, now_ns: int, coverage: Coverage) -> int | None:
    """Return the end of what an access can serve now of a window that is too recent for it, else None.

    Args:
        access: to a provider.
        request: with a window.
        now_ns: nanoseconds since the epoch.
        coverage: whose trades must be in it.
    """
    if can_serve(access, request, now_ns=now_ns, coverage=coverage) is not Lack.TOO_RECENT:
        return None
    ends = (_seen(request, delay, now_ns) for delay in _delays(access, request))
    good = (
        end
        for end in ends
        if request.start_ns is not None
        and request.end_ns is not None
        and request.start_ns < end < request.end_ns
        and can_serve(access, replace(request, end_ns=end), now_ns=now_ns, coverage=coverage) is None
    )
    return max(good, default=None)


def seen_from(access: Access, request: Request, now_ns: int, coverage: Coverage) -> int | None:
    """Return from when on an access can serve a whole window, nanoseconds since the epoch; None: never."""
    if request.end_ns is None:
        return None
    moments = (max(now_ns, _aged(request.end_ns, delay)) for delay in _delays(access, request))
    good = (at for at in moments if can_serve(access, request, now_ns=at, coverage=coverage) is None)
    return min(good, default=None)


def _delays(access: Access, request: Request) -> set[Delay]:
    has = capability(access)
    return {offer.delay for offer in (has.bars if isinstance(request, BarsRequest) else has.quotes)}


def _seen(request: Request, delay: Delay, now_ns: int) -> int:
    if delay is Delay.DAY:
        return midnight_ns(session_of(now_ns))
    until = now_ns - delay * SECOND_NS
    if not isinstance(request, BarsRequest):
        return until
    if request.interval == "1d":
        return midnight_ns(session_of(until))
    # a bar that is only half seen is left for later
    return until - until % INTERVAL_NS[request.interval]


def _aged(end_ns: int, delay: Delay) -> int:
    return midnight_ns(session_of(end_ns - 1) + 1) if delay is Delay.DAY else end_ns + delay * SECOND_NS
