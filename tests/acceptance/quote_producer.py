"""Produce a market of tests/quotes_market.py in the present: BOOTSTRAP TOPIC MARKET [RATE]."""

from __future__ import annotations

import json
import sys

from domain.clock import SystemClock
from tests.acceptance.producer import send
from tests.quotes_market import QuotesMarket, lines

if __name__ == "__main__":
    market = QuotesMarket(**json.loads(sys.argv[3]) | {"start_ns": SystemClock().now_ns()})
    send(lines(market), sys.argv[1], sys.argv[2], float(sys.argv[4]) if len(sys.argv) > 4 else 0.0)
