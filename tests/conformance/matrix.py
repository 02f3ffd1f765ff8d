"""The conformance matrix: what each vendor's client is held against, and what a vendor has not."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.conformance import alpaca_cells, finnhub_cells, polygon_cells, tiingo_cells
from tests.conformance.world import World

Cell = Callable[[World], None]

CLIENTS: Mapping[str, tuple[str, Mapping[str, Cell]]] = {
    "polygon": ("massive 2.9.1", polygon_cells.CELLS),
    "alpaca": ("alpaca-py 0.44.0", alpaca_cells.CELLS),
    "finnhub": ("finnhub-python 2.4.29", finnhub_cells.CELLS),
    "tiingo": ("tiingo 0.16.1", tiingo_cells.CELLS),
}
ROWS = tuple(polygon_cells.CELLS)
NO_SUCH_THING = {
    ("alpaca", "404"): "an unknown symbol is missing from the answer",
    ("finnhub", "ws login bad"): "no answer to the login",
    ("finnhub", "ws quote"): "trades only",
    ("finnhub", "ws bar"): "trades only",
    ("tiingo", "403"): "a plan that lacks something says so in the feed only",
    ("tiingo", "ws bar"): "no bars",
}
#: what is green in another way than by the vendor's own client
NOTES = {
    ("finnhub", "minute bars, paged"): "no pages: a month in one answer",
    ("finnhub", "404"): "a quote of zeros",
    ("finnhub", "ws login ok, trade"): "its client has no WebSocket: by `websockets`",
    ("tiingo", "minute bars, paged"): "no pages",
    ("tiingo", "quote"): "its client has no method: by HTTP",
}


def markdown() -> str:
    """Return docs/reference/conformance.md; it says what the suite holds, which is green or fails."""
    clients = [f"{vendor}<br>`{client}`" for vendor, (client, _) in CLIENTS.items()]
    lines = [
        "# Conformance of the emulator",
        "",
        "Made by `make conformance`, which fails if a cell is not green or this page has drifted. Each cell",
        "runs the vendor's own client against the emulator and compares every value that it read with the",
        "simulated market.",
        "",
        f"| | {' | '.join(clients)} |",
        f"|---{'|---' * len(clients)}|",
    ]
    for row in ROWS:
        cells = []
        for vendor, (_, held) in CLIENTS.items():
            if row in held:
                note = NOTES.get((vendor, row))
                cells.append(f"green{f' ({note})' if note else ''}")
            else:
                cells.append(f"vendor has no such thing: {NO_SUCH_THING[vendor, row]}")
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
