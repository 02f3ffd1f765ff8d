"""Real trades through the whole system: the candles are the venue's own."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

from tests.absent import absent
from tests.acceptance.conftest import RigFactory

DATA = Path(__file__).parents[3] / "shared" / "data" / "kraken-xbtusdt"
MINUTE_NS = 60_000_000_000
#: whole minutes of the recording: 2025-11-10T17:24 to 2025-11-11T00:12 UTC
FIRST_S, LAST_S = 1_762_795_440, 1_762_819_920


def venue_bars() -> dict[int, tuple[float, float, float, float, float, int]]:
    """The venue's own bars of the whole minutes, by start in nanoseconds; count 0 where nothing traded."""
    with (DATA / "ohlc_1m.csv").open() as lines:
        return {
            int(row["ts"]) * 1_000_000_000: (
                float(row["open"]),
                float(row["high"]),
                float(row["low"]),
                float(row["close"]),
                float(row["volume"]),
                int(row["count"]),
            )
            for row in csv.DictReader(lines)
            if FIRST_S <= int(row["ts"]) <= LAST_S
        }


def test_candles_equal_the_venues_own(make_rig: RigFactory) -> None:
    if not DATA.exists():
        absent(f"no recordings: {DATA}")
    rig = make_rig()
    rig.start("w1")
    produced = subprocess.run(
        [
            *(sys.executable, "-m", "ops.cli", "produce", str(DATA / "trades.csv")),
            *("--map", "ts_event=ts"),
            *("--set", "symbol=XBT/USDT", "--set", "provider=kraken"),
        ],
        env=rig.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert produced.returncode == 0, produced.stderr
    assert "1,000 sent, 0 bad" in produced.stdout
    rig.wait_stored(1_000, 60)

    stored = {
        row["ts"]: (row["o"], row["h"], row["l"], row["c"], row["v"], row["trade_count"])
        for row in rig.table()
        if FIRST_S <= row["ts"] // 1_000_000_000 <= LAST_S
    }
    venue = venue_bars()
    traded = {ts: bar for ts, bar in venue.items() if bar[-1]}
    assert (len(traded), len(venue) - len(traded)) == (272, 137)
    assert stored == traded
    rows = rig.query(
        "select distinct symbol, interval, provider, feed, rule, is_final, revision from candles_intraday "
        "where ts between to_timestamp(%s) and to_timestamp(%s)",
        FIRST_S,
        LAST_S,
    )
    assert rows == [("XBT/USDT", "1m", "kraken", "", "all_trades.v1", True, 0)]
    assert not rig.records(rig.dlq)
    assert rig.end("w1")[0] == 0
