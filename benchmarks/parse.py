"""``python -m benchmarks.parse``: bars a second that each vendor's parser takes, checks included.

A page of 50,000 minutes of one symbol, as the vendor writes it. Bound: 200,000 bars/s on one core, by CPU
time, so that what else the machine does counts little. Beside it what the bare JSON decoder takes.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from providers.alpaca import parse as alpaca
from providers.base import BarRow, BarsRequest
from providers.finnhub import parse as finnhub
from providers.iex import parse as iex
from providers.polygon import parse as polygon
from providers.rfc3339 import from_ns
from providers.rows import check_bars

BARS = 50_000
RUNS = 7
BOUND = 200_000.0
MINUTE_NS = 60_000_000_000
START_NS = 1_762_785_000_000_000_000  # 2025-11-10 14:30 UTC
SYMBOL = "AAPL"

Parse = Callable[[bytes], Sequence[BarRow]]


def pages() -> dict[str, tuple[bytes, Parse]]:
    """Return a page and its parser for each vendor."""
    times = [START_NS + n * MINUTE_NS for n in range(BARS)]
    prices = [{"o": 100.25, "h": 100.5 + n % 7, "l": 99.75, "c": 100.0} for n in range(BARS)]
    encode = msgspec.json.encode

    def bar(n: int, **more: Any) -> dict[str, Any]:
        return {**prices[n], "v": 1200.5 + n, "vw": 100.125, "n": 37, **more}

    iex_bars = [
        {
            "date": from_ns(t).replace("Z", ".000Z"),
            "open": p["o"],
            "high": p["h"],
            "low": p["l"],
            "close": p["c"],
            "volume": 1200,
        }
        for t, p in zip(times, prices, strict=True)
    ]
    return {
        "polygon": (
            encode(
                {
                    "ticker": SYMBOL,
                    "resultsCount": BARS,
                    "adjusted": False,
                    "status": "OK",
                    "results": [bar(n, t=t // 1_000_000) for n, t in enumerate(times)],
                }
            ),
            lambda body: polygon.parse_bars(body, SYMBOL, daily=False, adjusted=False).rows,
        ),
        "alpaca": (
            encode(
                {
                    "bars": {SYMBOL: [bar(n, t=from_ns(t)) for n, t in enumerate(times)]},
                    "next_page_token": None,
                }
            ),
            lambda body: alpaca.parse_bars(body, "alpaca", daily=False).rows[SYMBOL],
        ),
        "finnhub": (
            encode(
                {
                    "s": "ok",
                    "t": [t // 1_000_000_000 for t in times],
                    **{c: [p[c] for p in prices] for c in "ohlc"},
                    "v": [1200.5] * BARS,
                }
            ),
            lambda body: finnhub.parse_candles(body, SYMBOL, daily=False),
        ),
        "iex (Tiingo)": (encode(iex_bars), lambda body: iex.parse_intraday(body, SYMBOL)),
    }


def measure(body: bytes, parse: Callable[[bytes], Any]) -> float:
    """Return the median of bars per second of CPU time."""
    rates = []
    for _ in range(RUNS):
        before = time.process_time()
        parse(body)
        rates.append(BARS / (time.process_time() - before))
    return statistics.median(rates)


def main() -> int:
    """Print a line for each vendor; 1 if one is below the bound."""
    request = BarsRequest((SYMBOL,), "1m", START_NS, START_NS + BARS * MINUTE_NS)
    missed = 0
    for name, (body, parse) in pages().items():

        def whole(body: bytes, parse: Parse = parse, name: str = name) -> None:
            rows = parse(body)
            assert len(rows) == BARS
            check_bars(rows, request, name)

        rate, bare = measure(body, whole), measure(body, msgspec.json.decode)
        missed += rate < BOUND
        verdict = "ok  " if rate >= BOUND else "MISS"
        print(
            f"{verdict}  {name:<14} {rate:>10,.0f} bars/s   bound >= {BOUND:,.0f}   "
            f"bare decoder {bare:>10,.0f}/s   page {len(body) / 1e6:.1f} MB"
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
