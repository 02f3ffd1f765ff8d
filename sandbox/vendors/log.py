"""What the emulator was asked and what it sent: tests count here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from domain.clock import Clock


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, or one handshake of a feed."""

    at: float
    """Monotonic seconds."""
    at_ns: int
    """Wall clock."""
    vendor: str
    key: str
    """Empty if the request named none that is known."""
    route: str
    path: str
    """With the query; tokens removed."""
    status: int
    """0: the connection was reset instead of an answer."""
    fault: str
    """Kind of the scripted fault, empty if there was none."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One message of data on a feed."""

    at: float
    vendor: str
    connection: int
    kind: str
    """trade, quote, bar, updated_bar, daily_bar, correction, bust."""
    symbol: str
    ts_ns: int
    ident: int
    """Of trades and amendments the trade's id, of quotes the sequence number, else 0."""


@dataclass(slots=True)
class Log:
    """In order of time."""

    clock: Clock
    requests: list[Asked] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    keep_sent: bool = True
    """Whether messages of feeds are kept; off for hours of many symbols."""

    def asked(self, vendor: str, key: str, route: str, path: str, status: int, fault: str = "") -> None:
        """Note a request that has been answered."""
        self.requests.append(
            Asked(self.clock.monotonic(), self.clock.now_ns(), vendor, key, route, path, status, fault)
        )

    def of(self, vendor: str, route: str | None = None) -> list[Asked]:
        """Return the requests of a vendor (and route)."""
        return [a for a in self.requests if a.vendor == vendor and route in (None, a.route)]

    def statuses(self, vendor: str) -> Counter[int]:
        """Count the answers of a vendor by status."""
        return Counter(asked.status for asked in self.of(vendor))

    def busiest(self, vendor: str, key: str, seconds: float) -> int:
        """Return the most requests of a key that were served within any window of so many seconds."""
        times = [a.at for a in self.of(vendor) if a.key == key and a.status != 429]
        most, start = 0, 0
        for end, at in enumerate(times):
            while at - times[start] >= seconds:
                start += 1
            most = max(most, end - start + 1)
        return most
