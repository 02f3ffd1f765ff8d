"""What is said on a vendor's WebSocket: the words that every vendor's codec turns frames into.

A dialogue is the talk on one connection: log in, subscribe, listen. It is pure: frames go in, items and
replies come out; `providers.connection` brings both to the wire.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import ClassVar, Literal, TypeVar

import msgspec
from pydantic import SecretStr, ValidationError

from providers.base import BarRow
from providers.symbols import Spelling
from schemas.base import EARLIEST_NS, LATEST_NS, SYMBOL
from schemas.correction import TradeCancel, TradeCorrection
from schemas.errors import ProviderError
from schemas.quote import RawQuote
from schemas.trade import MAX_PRICE, MAX_SIZE, MIN_SIZE, TRADE_ID, Trade

Frame = str | bytes
What = Literal["trades", "quotes", "bars"]
#: what a message that cannot be read is kept of
KEPT_BYTES = 512
#: takes the place of what is beyond the sixteen characters of conditions
CUT = "~"

_SYMBOL = re.compile(SYMBOL)
_TRADE_ID = re.compile(TRADE_ID)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The vendor says that it is there; says nothing of data."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The vendor does not do what it was asked, or parts with us."""

    error: ProviderError
    fatal: bool = True
    """Whether the connection is of no more use; else it goes on without what was refused."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message that breaks the vendor's own contract: what it said is lost."""

    reason: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class PriceUpdate:
    """A price without a trade behind it (finnhub's volume 0, Tiingo's level 6): not a tick."""

    symbol: str
    ts_event: int
    price: float


Tick = Trade | RawQuote | TradeCancel | TradeCorrection
Item = Tick | BarRow | Heartbeat | Refused | Unreadable | PriceUpdate


@dataclass(slots=True)
class Heard:
    """What one frame was: items in the order in which they stand in it, and what is to be sent in answer."""

    items: list[Item] = field(default_factory=list)
    replies: list[Frame] = field(default_factory=list)


class Unsound(ValueError):
    """A message has the right form, but a value that no tick can have."""


class Dialogue(ABC):
    """The talk on one connection, from the vendor's greeting on."""

    provider: ClassVar[str]
    spelling: ClassVar[Spelling]
    headers: Mapping[str, str] = {}
    """Of the handshake. No key is in them: keys go in messages where the vendor has it so."""

    def __init__(
        self, symbols: Sequence[str], what: Sequence[What], feed: str, *, provider: str = ""
    ) -> None:
        """Say nothing yet.

        Args:
            symbols: canonical; ``*`` alone for all, where the vendor has that.
            what: which streams.
            feed: name of the feed in every tick.
            provider: in every tick, if not the vendor's own name.

        Raises:
            NotFound: a symbol has no spelling there.
        """
        self.provider_name = provider or self.provider
        self.feed = feed
        self.what = tuple(what)
        self.symbols = tuple(dict.fromkeys(symbols))
        self.spelled = {s: s if s == "*" else self.spelling.vendor(s) for s in self.symbols}
        self._canonical = {v: s for s, v in self.spelled.items()}

    @property
    @abstractmethod
    def live(self) -> bool:
        """Whether everything asked for is confirmed, or refused; where nothing is confirmed: asked for."""

    @property
    def missing(self) -> str:
        """What is not confirmed yet, for a message."""
        return "login" if not self.live else ""

    @abstractmethod
    def url(self) -> SecretStr:
        """Return where the vendor listens; secret, as with some vendors the key is in it."""

    @abstractmethod
    def secrets(self) -> tuple[SecretStr, ...]:
        """Return what must not be read in an error, should the vendor repeat it."""

    def opening(self) -> list[Frame]:
        """Return what we say first, before the vendor says anything."""
        return []

    @abstractmethod
    def hear(self, frame: Frame, at_ns: int) -> Heard:
        """Return what a frame says.

        Args:
            frame: text, or the bytes of a binary one.
            at_ns: when it came, nanoseconds since the epoch.
        """

    @abstractmethod
    def again(self, symbols: Sequence[str]) -> list[Frame]:
        """Return what asks anew for symbols (canonical) that are subscribed already."""

    def canonical(self, spelled: str) -> str:
        """Return the canonical symbol.

        Raises:
            Unsound: it cannot be a symbol.
        """
        symbol = self._canonical.get(spelled)
        if symbol is None:
            symbol = self.spelling.canonical(spelled)
            if not _SYMBOL.fullmatch(symbol):
                raise Unsound(f"symbol: {spelled[:64]!r}")
            self._canonical[spelled] = symbol
        return symbol


def sound(trade: Trade) -> Trade:
    """Return the trade if its values are those of a trade.

    Raises:
        Unsound: naming the field.
    """
    # a comparison with NaN is false
    if not 0 < trade.price <= MAX_PRICE:
        raise Unsound(f"price: {trade.price}")
    if not MIN_SIZE <= trade.size <= MAX_SIZE:
        raise Unsound(f"size: {trade.size}")
    if not EARLIEST_NS <= trade.ts_event < LATEST_NS:
        raise Unsound(f"time: {trade.ts_event}")
    if not 0 <= trade.seq < 1 << 63:
        raise Unsound(f"sequence number: {trade.seq}")
    if trade.trade_id and not _TRADE_ID.fullmatch(trade.trade_id):
        raise Unsound(f"trade id: {trade.trade_id[:64]!r}")
    return trade


def sound_quote(quote: RawQuote) -> RawQuote:
    """Return the quote if its values are those of a quote; without a side it is one too.

    Raises:
        Unsound: naming the field.
    """
    for name, value, most in (
        ("bid", quote.bid, MAX_PRICE),
        ("bid size", quote.bid_size, MAX_SIZE),
        ("ask", quote.ask, MAX_PRICE),
        ("ask size", quote.ask_size, MAX_SIZE),
    ):
        if value is not None and not 0 <= value <= most:
            raise Unsound(f"{name}: {value}")
    if not EARLIEST_NS <= quote.ts_event < LATEST_NS:
        raise Unsound(f"time: {quote.ts_event}")
    if not 0 <= quote.seq < 1 << 63:
        raise Unsound(f"sequence number: {quote.seq}")
    return quote


def fitting(conditions: str) -> str:
    """Return conditions as they fit; those that do not end in ``~``."""
    return conditions if len(conditions) <= 16 else conditions[:15] + CUT


def batches(symbols: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of at most so many."""
    remaining = iter(symbols)
    while batch := list(islice(remaining, size)):
        yield batch


def converted(message: object, convert: Callable[[], Item | None], raw: bytes) -> Item | None:
    """Return what a message becomes, or that it cannot be read."""
    try:
        return convert()
    except (Unsound, ValidationError, ValueError, OverflowError) as exc:
        return unreadable(exc, raw or repr(message).encode())


def unreadable(why: Exception, raw: bytes) -> Unreadable:
    """Return an item for what cannot be read, with its beginning."""
    if isinstance(why, ValidationError):
        first = why.errors(include_url=False, include_input=False)[0]
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    else:
        reason = str(why)
    return Unreadable(reason[:200], raw[:KEPT_BYTES])


def encoded(message: object) -> str:
    """Return a message as a text frame."""
    return msgspec.json.encode(message).decode()
