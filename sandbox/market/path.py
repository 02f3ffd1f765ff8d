"""Where the price goes: from close to close by sessions, and by minutes within one.

Closes are a chain from the first session on, one draw each; a session is a bridge between two of them
and needs nothing else. So any minute of any session can be had without the ones before it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import accumulate

from sandbox.market.calendar import MINUTE_NS, Session
from sandbox.market.instrument import UNITS, Instrument

#: standard deviations of the night's part and of the hours after the close, as parts of a day's
NIGHT, EVENING = 0.3, 0.1
FLOOR = math.log(2.0)


def closes(seed: int, instrument: Instrument, count: int) -> list[float]:
    """Return logarithms of the close before the first session and of ``count`` sessions, splits aside."""
    draw = random.Random(f"{seed}|{instrument.symbol}|closes")  # noqa: S311 - a simulation, not a secret
    steps = (draw.gauss(0, instrument.daily_move) for _ in range(count))
    # no stock of this exchange falls below two dollars: a cent is then never a large part of the price
    return list(
        accumulate(steps, lambda level, step: max(FLOOR, level + step), initial=math.log(instrument.price))
    )


def minutes(
    seed: int, instrument: Instrument, session: Session, previous: float, close: float, ratio: float
) -> list[int]:
    """Return the middle price at every minute from pre-market to post-market, both ends included.

    Args:
        seed: of the market.
        instrument: which.
        session: which.
        previous: logarithm of the close of the session before.
        close: logarithm of this session's close.
        ratio: of the splits that apply by now; prices are divided by it.

    Returns:
        Whole ten-thousandths of a dollar.

    """
    draw = random.Random(f"{seed}|{instrument.symbol}|{session.day}|path")  # noqa: S311 - a simulation
    move = instrument.daily_move
    opening = (session.open_ns - session.pre_ns) // MINUTE_NS
    closing = (session.close_ns - session.pre_ns) // MINUTE_NS
    last = (session.post_ns - session.pre_ns) // MINUTE_NS
    first = previous + draw.gauss(0, move * NIGHT)
    opened = first + draw.gauss(0, move * EVENING)
    levels = [
        *_bridge(draw, first, opened, opening, move * EVENING),
        *_bridge(draw, opened, close, closing - opening, move),
        *_bridge(draw, close, close + draw.gauss(0, move * EVENING), last - closing, move * EVENING),
    ]
    levels.append(levels[-1])
    scale = UNITS / ratio
    return [round(math.exp(level) * scale) for level in levels]


def _bridge(draw: random.Random, start: float, end: float, steps: int, move: float) -> Sequence[float]:
    """Walk from start to end in so many steps; the end itself is left out."""
    size = move / math.sqrt(steps)
    walk = list(accumulate((draw.gauss(0, size) for _ in range(steps)), initial=start))
    drift = (end - walk[-1]) / steps
    return [level + drift * n for n, level in enumerate(walk[:-1])]
