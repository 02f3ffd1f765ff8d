"""Was what a provider served right? Its bars beside what others say of the same bars.

Vendors differ without being wrong, and the tolerances are what their rules explain:

- Prices, a thousandth or one cent, whichever is more. Which trade opens or closes a minute depends on what is
  eligible, on odd lots, on prints that came late: the next trade is a spread away. Adjusted ones are rounded.
- Volume, a twentieth or one share a trade, whichever is more. Some cut fractions of shares off or raise them
  to one, and count a late print or leave it to the rebuild after the session.
- A bar that only one side has, a round lot. A minute in which odd lots alone traded has a bar by one rule and
  none by another; a small one proves nothing.

A print that is busted later, or is large and late, still goes beyond them: a few bars of a session, however
long a bar is; that is one minute of a hundred, and one quarter of an hour of ten. So a few bars prove nothing
unless they are half of all, and neither does a small share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final, Literal, Protocol

Field = Literal["open", "high", "low", "close", "volume", "missing", "extra"]
"""In what two bars can disagree; `missing` and `extra`: only the other side, or only the provider has it."""
Price = Literal["open", "high", "low", "close"]
PRICES: Final[tuple[Price, ...]] = ("open", "high", "low", "close")
FIELDS: Final[tuple[Field, ...]] = (*PRICES, "volume", "missing", "extra")
Voice = Literal["authority", "own", "peer"]
"""`authority`: counts alone, for and against. `own`: the provider itself, asked again once its bars are
official; it counts alone against what it said before, not for it. `peer`: two that agree are needed."""

PRICE_SHARE: Final = 0.001
PRICE_UNIT: Final = 0.01
VOLUME_SHARE: Final = 0.05
UNCOUNTED_TRADES: Final = 10
"""In a bar of which neither side says how many trades it has."""
ROUND_LOT: Final = 100.0
UNEXPLAINED: Final = ((7, 0.10), (4, 0.50))
"""So many bars that are such a share are more than the rules of healthy vendors explain. Simulated ones, each
with a rule of its own, come to 5 bars of a session at most, and to a third of at least `MIN_BARS`."""
MIN_BARS: Final = 5
"""Fewer prove nothing."""
SPLIT: Final = 1.2
"""The smallest ratio of a split that is looked for."""
#: so that the tolerance itself is within it
_ROUNDING: Final = 1e-9


class Bar(Protocol):
    """What is compared: prices of one unit, volume in units."""

    @property
    def open(self) -> float:
        """First price."""

    @property
    def high(self) -> float:
        """Highest price."""

    @property
    def low(self) -> float:
        """Lowest price."""

    @property
    def close(self) -> float:
        """Last price."""

    @property
    def volume(self) -> float:
        """Units traded; fractions are possible."""

    @property
    def trade_count(self) -> int | None:
        """Trades in it; None: not told."""


Bars = Mapping[int, Bar]
"""By start, nanoseconds since the epoch."""
Span = tuple[int, int]
"""Half-open, nanoseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Witness:
    """What somebody says of the same bars: same coverage, interval and adjustment."""

    name: str
    voice: Voice
    bars: Bars
    covered: Span
    """Where it was asked and answered: only here does a bar that it lacks mean anything."""

    def speaks_of(self, ts: int) -> bool:
        """Whether its word on a bar is known."""
        return self.covered[0] <= ts < self.covered[1]


@dataclass(frozen=True, slots=True)
class Finding:
    """One bar that is not as others say."""

    field: Field
    ts: int
    served: float | None
    """None: the provider has no such bar. Of a bar that only it has, and of one that it lacks: the volume."""
    said: float | None
    by: tuple[str, ...]
    proved: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of comparing. Counts are of bars."""

    bars: int = 0
    """Somebody's word was there."""
    judged: int = 0
    """There were enough words for a verdict."""
    wrong: int = 0
    """Not as an authority, the provider's own later word or two peers say."""
    disagreeing: Mapping[Field, int] = field(default_factory=dict)
    """Confirmed by nobody, proved or not."""
    example: Finding | None = None
    """The first that is proved, else the first that nobody confirms."""

    @property
    def ratios(self) -> dict[Field, float]:
        """Per field, the share of bars that nobody confirms, from 0 to 1."""
        return {name: self.disagreeing.get(name, 0) / self.bars if self.bars else 0.0 for name in FIELDS}

    @property
    def incompleteness(self) -> float | None:
        """The share of bars proved wrong or missing, from 0 to 1; None: too few were judged.

        0 as long as no more is wrong than a vendor's own rule explains.
        """
        if self.judged < MIN_BARS:
            return None
        return self.wrong / self.judged if self.indicts else 0.0

    @property
    def indicts(self) -> bool:
        """Whether more is wrong than a vendor's own rule explains."""
        return _unexplained(self.wrong, self.judged)

    @property
    def doubtful(self) -> bool:
        """Whether as much is confirmed by nobody, and yet not proved."""
        return not self.indicts and _unexplained(max(self.disagreeing.values(), default=0), self.bars)


def _unexplained(wrong: int, bars: int) -> bool:
    return bars >= MIN_BARS and any(wrong >= least and wrong >= share * bars for least, share in UNEXPLAINED)


def price_agrees(one: float, other: float) -> bool:
    """Return whether two prices may be of the same bar."""
    return abs(one - other) <= max(PRICE_UNIT, PRICE_SHARE * max(abs(one), abs(other))) + _ROUNDING


def volume_agrees(one: Bar, other: Bar) -> bool:
    """Return whether two volumes may be of the same bar."""
    counts = [bar.trade_count for bar in (one, other) if bar.trade_count is not None]
    # the smaller: a count that is nonsense must not excuse the volume
    fractions = min(counts, default=UNCOUNTED_TRADES)
    larger = max(one.volume, other.volume)
    return abs(one.volume - other.volume) <= max(VOLUME_SHARE * larger, fractions) + _ROUNDING


def agrees(name: Field, one: Bar, other: Bar) -> bool:
    """Return whether two bars agree in a field that both have."""
    if name == "volume":
        return volume_agrees(one, other)
    return price_agrees(getattr(one, name), getattr(other, name))


def split_between(one: Bars, other: Bars) -> float | None:
    """Return the ratio if all bars of two sides differ as by one split, known to one of them only.

    Every price is so many times the other's, and every volume that part of it.
    """
    common = sorted(one.keys() & other.keys())
    if not common or not (first := other[common[0]].close):
        return None
    ratio = one[common[0]].close / first
    if 1 / SPLIT < ratio < SPLIT or ratio <= 0:
        return None
    for ts in common:
        a, b = one[ts], other[ts]
        same = all(abs(getattr(a, p) - ratio * getattr(b, p)) <= 0.01 * getattr(a, p) for p in PRICES)
        if not (same and abs(a.volume * ratio - b.volume) <= 2 * VOLUME_SHARE * b.volume + ROUND_LOT):
            return None
    return ratio


def compare(served: Bars, holes: Sequence[Span], witnesses: Sequence[Witness]) -> Comparison:
    """Compare what a provider served with what others say of it.

    An authority's word settles a bar. Without one, a bar is wrong if the provider's own later word says so,
    or if no peer confirms it and two of them agree with each other.

    Args:
        served: by the provider.
        holes: where it was asked and served nothing.
        witnesses: on the same kind of bars; one voice each.
    """
    starts = served.keys() | {
        ts
        for witness in witnesses
        for ts in witness.bars
        if ts not in served and any(start <= ts < end for start, end in holes)
    }
    return together(_judge(ts, served.get(ts), witnesses) for ts in sorted(starts))


def together(comparisons: Iterable[Comparison]) -> Comparison:
    """Return several as if they were one."""
    bars = judged = wrong = 0
    counts: dict[Field, int] = {}
    example: Finding | None = None
    for one in comparisons:
        bars, judged, wrong = bars + one.bars, judged + one.judged, wrong + one.wrong
        for name, count in one.disagreeing.items():
            counts[name] = counts.get(name, 0) + count
        found = one.example
        if found and (example is None or (found.proved and not example.proved)):
            example = found
    return Comparison(bars, judged, wrong, counts, example)


def _judge(ts: int, bar: Bar | None, witnesses: Sequence[Witness]) -> Comparison:
    findings: list[Finding] = []
    heard = judged = False
    for panel, quorum in _panels([w for w in witnesses if w.speaks_of(ts)]):
        words = [(w.name, w.bars[ts]) for w in panel if ts in w.bars]
        if bar is None and len(words) < len(panel):
            continue  # somebody else lacks it too: perhaps it is none
        heard = True
        judged |= len(words) >= quorum or (not words and len(panel) >= quorum)
        findings += _one_sided(ts, bar, panel, words, quorum) if bar is None or not words else ()
        if bar is not None:
            findings += _unlike(ts, bar, words, quorum)
    names: set[Field] = {found.field for found in findings}
    findings.sort(key=lambda found: not found.proved)
    return Comparison(
        bars=int(heard),
        judged=int(judged),
        wrong=int(any(found.proved for found in findings)),
        disagreeing=dict.fromkeys(names, 1),
        example=findings[0] if findings else None,
    )


def _panels(witnesses: Sequence[Witness]) -> list[tuple[list[Witness], int]]:
    """Return who decides together, and how many of them must say the same."""
    voices: dict[Voice, list[Witness]] = {"authority": [], "own": [], "peer": []}
    for witness in witnesses:
        voices[witness.voice].append(witness)
    if voices["authority"]:
        return [(voices["authority"], 1)]
    return [(panel, quorum) for panel, quorum in ((voices["own"], 1), (voices["peer"], 2)) if panel]


def _one_sided(
    ts: int, bar: Bar | None, panel: Sequence[Witness], words: Sequence[tuple[str, Bar]], quorum: int
) -> list[Finding]:
    """Of a bar that the provider has and nobody else, or that everybody has but the provider."""
    volume = min(said.volume for _, said in words) if bar is None else bar.volume
    if volume < ROUND_LOT:
        return []
    by = tuple(witness.name for witness in panel)
    proved = len(panel) >= quorum
    if bar is None:
        return [Finding("missing", ts, None, volume, by, proved)]
    return [Finding("extra", ts, volume, None, by, proved)]


def _unlike(ts: int, bar: Bar, words: Sequence[tuple[str, Bar]], quorum: int) -> list[Finding]:
    """Of a bar that both sides have: the fields that nobody confirms."""
    found = []
    names = tuple(name for name, _ in words)
    compared: tuple[Field, ...] = (*PRICES, "volume")
    for name in compared:
        if not words or any(agrees(name, bar, said) for _, said in words):
            continue
        proved = quorum == 1 or any(agrees(name, a, b) for (_, a), (_, b) in combinations(words, 2))
        found.append(Finding(name, ts, getattr(bar, name), getattr(words[0][1], name), names, proved))
    return found
