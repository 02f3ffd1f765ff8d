"""A worker that notes which settings each of its handlers has seen.

    OBSERVED=FILE python -m tests.acceptance.observing_worker

A line for each chunk folded: how often the handler read the settings, and the values that it saw.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: which settings are noted
NAMES = (
    "policy_bars_1m",
    "breaker_demote_threshold",
    "breaker_promote_threshold",
    "recent_latency_cap_ms",
    "dlq_max_consecutive",
)


def plant() -> None:
    """Wrap the fold, and whatever reads settings within it."""
    os.environ["F_LOOP"] = "uvloop"
    trades: Any = importlib.import_module("agents.trades")
    app_class: Any = importlib.import_module("streams.chunked_app").ChunkedApp
    fold, read = trades.fold, app_class.settings.fget
    reads: list[Any] = []
    loop = threading.get_ident()
    out = Path(os.environ["OBSERVED"]).open("a", buffering=1)  # noqa: SIM115 - open for as long as the process

    def settings(self: Any) -> Any:
        found = read(self)
        if threading.get_ident() == loop:  # transport and watchdog read from threads of their own
            reads.append(found)
        return found

    def observed(chunk: Any, market: Any) -> Any:
        reads.clear()
        part = fold(chunk, market)
        values = [[getattr(s, name) for name in NAMES] for s in reads]
        out.write(json.dumps([len(reads), market.in_force.number, *values]) + "\n")
        return part

    app_class.settings = property(settings)
    trades.fold = observed


if __name__ == "__main__":
    plant()
    sys.argv = ["tapeflow", "worker"]
    main: Callable[[], None] = importlib.import_module("ops.cli").main
    main()
