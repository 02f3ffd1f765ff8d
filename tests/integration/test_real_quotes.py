"""Real quotes through the whole system: what comes out is what went in, with what is odd about it."""

from __future__ import annotations

import asyncio
import csv
import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.quotes import QuoteBook
from schemas.decode_quotes import decode_chunk
from tests.absent import absent
from tests.acceptance.quotes import QuoteRig
from tests.acceptance.sampler import Sampler
from tests.quote_oracle import NAMES
from tests.unit.schemas.hostile import Record

DATA = Path(__file__).parents[3] / "shared" / "data"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SIDES = ("bid", "bid_size", "ask", "ask_size")
#: file, provider, symbol, how many rows
FILES = (
    ("binance-btcusdt/quotes.csv", "binance", "BTC/USDT", 451),
    ("truefx-usdjpy/quotes.csv", "truefx", "USD/JPY", 1_000),
)

Line = dict[str, Any]


def recorded(name: str, provider: str, symbol: str) -> list[Line]:
    """Return the recording as raw quotes; a size that was not recorded is left out."""
    if not DATA.exists():
        absent(f"no recordings: {DATA}")
    with (DATA / name).open() as lines:
        return [
            {"symbol": symbol, "provider": provider, "ts_event": nanoseconds(row["timestamp"])}
            | {side: float(row[side]) for side in SIDES if row.get(side)}
            for row in csv.DictReader(lines)
        ]


def nanoseconds(said: str) -> int:
    return (datetime.fromisoformat(said) - EPOCH) // timedelta(microseconds=1) * 1_000


def once(lines: list[Line]) -> list[Line]:
    """Drop what is the same as an earlier line in everything."""
    return [line for i, line in enumerate(lines) if line not in lines[:i]]


def flags(lines: list[Line]) -> list[int]:
    """Return what is odd about each, recorded years ago: told anew, from the prices and times alone."""
    found, newest = [], 0
    for line in lines:
        bid, ask, ts = line["bid"], line["ask"], line["ts_event"]
        found.append(8 + (bid > ask) + 2 * (bid == ask) + 16 * (ts < newest))
        newest = max(newest, ts)
    return found


@pytest.mark.parametrize(("name", "provider", "symbol", "rows"), FILES)
def test_the_fold_keeps_what_was_recorded(name: str, provider: str, symbol: str, rows: int) -> None:
    lines = recorded(name, provider, symbol)
    assert len(lines) == rows
    records = [
        Record(json.dumps(line).encode(), line["ts_event"] // 1_000_000 + 1, i)
        for i, line in enumerate(lines)
    ]
    decoded = decode_chunk(records)
    assert not decoded.rejects
    folded = QuoteBook().fold(decoded, records)
    expected = once(lines)
    assert folded.duplicates == rows - len(expected)
    assert [
        {"symbol": q.symbol, "provider": q.provider, "ts_event": q.ts_event}
        | {side: getattr(q, side) for side in SIDES if getattr(q, side) is not None}
        for q in folded.quotes
    ] == expected
    assert [q.n for q in folded.quotes] == [*range(1, len(expected) + 1)]
    # received at once here, not years later
    assert [{name for flag, name in NAMES.items() if (odd - 8) & flag} for odd in flags(expected)] == [
        set(q.flags) for q in folded.quotes
    ]


def test_a_worker_keeps_what_was_recorded(kafka: Any, timescale: Any, tmp_path: Path) -> None:
    rig = QuoteRig(kafka.bootstrap, timescale.create_database(f"rig_{uuid.uuid4().hex[:12]}"), tmp_path, 2)
    asyncio.run(rig.prepare())
    try:
        rig.start("w1")
        rig.wait_ready("w1")
        recordings = {symbol: recorded(name, provider, symbol) for name, provider, symbol, _ in FILES}
        with Sampler(rig) as sampler:
            for symbol, lines in recordings.items():
                rig.send((symbol.encode(), json.dumps(line).encode(), ()) for line in lines)
            rig.wait_stored(sum(map(len, recordings.values())), 60)
            truth = rig.quote_truth()
            rig.wait_shown(truth)
            assert rig.end("w1")[0] == 0
        rig.verify_quotes(sampler, truth)
        rows = sorted(rig.rows(), key=lambda row: row["n"])
        for symbol, lines in recordings.items():
            expected = once(lines)
            assert [
                (row["ts_ns"], row["ts_us"], *(row[side] for side in SIDES), row["flags"])
                for row in rows
                if row["symbol"] == symbol
            ] == [
                (line["ts_event"], line["ts_event"] // 1_000, *(line.get(side) for side in SIDES), odd)
                for line, odd in zip(expected, flags(expected), strict=True)
            ]
    finally:
        rig.close()
