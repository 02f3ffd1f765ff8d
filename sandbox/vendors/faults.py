"""Scripted trouble: what goes wrong with the n-th call of a route, or the n-th connection of a feed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.vendors.plans import VendorName

RestKind = Literal[
    "429",  # too many requests, in the vendor's words; `retry_after` adds the header
    "5xx",  # `status`, with a page of HTML
    "html",  # status 200, but a page of HTML
    "redirect",  # 302 to a page of HTML
    "reset",  # the connection is reset before an answer
    "slow",  # the body comes in small pieces, `seconds` in all
    "stall",  # nothing comes for `seconds`
    "cut",  # the connection ends in the middle of the body
    "truncated",  # half of the JSON as if it were all
    "wrong_content_type",  # the right body, called text/html
    "wrong_type",  # numbers of the body as text
    "looping_cursor",  # the next page is this page, for ever
    "foreign_next",  # the next page is at a host of somebody else
    "status",  # `status` with `body`, whatever the vendor would have said
    "mutate",  # `change` is applied to the decoded body
]
SocketKind = Literal[
    "drop",  # the connection is reset
    "mute",  # stays open and says nothing any more (heartbeats and pings go on)
    "policy_close",  # status message where the vendor has one, then close with 1008
    "slow_consumer",  # the vendor says that we are too slow, then closes
    "max_connections",  # as if another connection were there already
    "mutate",  # `change` is applied to every message from here on
    "raw",  # `text` is sent as it is
]
SOCKET = "ws"
#: how long a fault that has to do with time lasts, unless the script says
SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry of the script."""

    vendor: VendorName
    route: str
    """Name of a route (`docs` of the vendor's module), ``*`` for any, ``ws`` for the feed."""
    kind: str
    nth: int
    """The first call or connection that it hits, from 1."""
    times: int
    """How many in a row it hits."""
    retry_after: str | None = None
    status: int = 503
    seconds: float = SECONDS
    body: bytes = b""
    text: str = ""
    after: int = 0
    """Of a feed: strike when so many messages of data have been sent."""
    change: Callable[[Any], Any] | None = None


class Faults:
    """The script and how far it is played."""

    def __init__(self) -> None:
        self._script: list[Fault] = []
        self.calls: Counter[tuple[str, str]] = Counter()
        """Calls so far, by vendor and route."""

    def add(
        self, vendor: VendorName, route: str, kind: str, *, nth: int = 1, times: int = 1, **how: Any
    ) -> None:
        """Add a fault; calls are counted from now on.

        Args:
            vendor: who is in trouble.
            route: name of the route, ``*`` for all, ``ws`` for connections of the feed.
            kind: `RestKind` or `SocketKind`.
            nth: from which call on, 1 is the next.
            times: for how many calls.
            how: further fields of `Fault`.
        """
        nth += self.calls[vendor, route]
        self._script.append(Fault(vendor, route, kind, nth, times, **how))

    def clear(self) -> None:
        """Forget the script: from now on all is well."""
        self._script.clear()

    def take(self, vendor: VendorName, route: str) -> Fault | None:
        """Count a call and return what is wrong with it."""
        self.calls[vendor, route] += 1
        if route != SOCKET:
            self.calls[vendor, "*"] += 1
        for fault in self._script:
            if fault.vendor == vendor and (fault.route == route or (fault.route == "*" and route != SOCKET)):
                call = self.calls[vendor, fault.route]
                if fault.nth <= call < fault.nth + fault.times:
                    return fault
        return None
