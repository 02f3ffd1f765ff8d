"""What lies on ``md.quotes.v1``, as a reader outside of the worker takes it."""

from __future__ import annotations

import msgspec

from schemas.errors import Poison, Reason


class QuoteLine(msgspec.Struct, gc=False):
    """A quote or a marker; what a newer tapeflow adds is ignored, what is left out has its default."""

    ts_event: int
    type: str = ""
    symbol: str = ""
    n: int = 0
    bid: float | None = None
    bid_size: float | None = None
    ask: float | None = None
    ask_size: float | None = None
    provider: str = ""
    feed: str = ""
    flags: tuple[str, ...] = ()
    ts_from: int = 0
    reason: str = ""

    @property
    def is_marker(self) -> bool:
        """Whether it says that quotes may be missing, and is no quote."""
        return self.type == "marker"

    @property
    def begins_anew(self) -> bool:
        """Whether the numbers of its partition begin anew: a marker of tapeflow's own."""
        return self.is_marker and not self.provider


_decode = msgspec.json.Decoder(QuoteLine).decode


def decode(value: bytes | None) -> QuoteLine:
    """Return what a record says.

    Raises:
        Poison: it is neither a quote nor a marker.
    """
    try:
        line = _decode(value or b"")
    except msgspec.DecodeError as exc:
        raise Poison(Reason.DESERIALIZE, str(exc)) from None
    if not line.is_marker and (line.type or not line.symbol or line.n < 1):
        raise Poison(Reason.SCHEMA, "neither a quote nor a marker")
    return line


class Repeats:
    """Tells what has been there already: by the number of a symbol, by the id of a marker.

    A topic is at least once, and each repeat is of something that came before it in its partition. Numbers
    of a symbol rise, so one that does not is a repeat.
    """

    def __init__(self) -> None:
        self.dropped = 0
        """So many were repeats."""
        self._numbers: dict[int, dict[str, int]] = {}
        self._markers: set[bytes] = set()

    def is_new(self, partition: int, key: bytes, line: QuoteLine) -> bool:
        """Say whether a record is no repeat, and remember it.

        Args:
            partition: that it came by.
            key: its header ``id``; only looked at if it is a marker.
            line: what it says.
        """
        numbers = self._numbers.setdefault(partition, {})
        if line.is_marker:
            new = key not in self._markers
            self._markers.add(key)
            if new and line.begins_anew:
                numbers.clear()
        else:
            new = line.n > numbers.get(line.symbol, 0)
            if new:
                numbers[line.symbol] = line.n
        self.dropped += not new
        return new
