"""``tapeflow fetch`` against ``tapeflow emulator``, as two processes: what a newcomer would try first."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.settings import Settings

WINDOW = ("--start", "2025-11-13T14:30Z", "--end", "2025-11-13T15:00Z")
COVERAGE = {"polygon": "consolidated", "alpaca": "consolidated", "finnhub": "consolidated", "iex": "iex"}


@pytest.fixture(scope="module")
def emulator() -> Iterator[dict[str, Any]]:
    with subprocess.Popen(
        [sys.executable, "-m", "ops.cli", "emulator"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


@pytest.fixture
def fetch(emulator: dict[str, Any], tmp_path: Path) -> Any:
    environment = {k: v for k, v in os.environ.items() if k.lower() not in Settings.model_fields}
    rest, keys = emulator["rest"], emulator["keys"]
    settings = {
        "POLYGON_API_KEY": keys["polygon"],
        "POLYGON_PLAN": "paid",
        "POLYGON_URL": rest["polygon"],
        "ALPACA_API_KEY_ID": keys["alpaca"],
        "ALPACA_API_SECRET_KEY": emulator["alpaca_secret"],
        "ALPACA_PLAN": "paid",
        "ALPACA_URL": rest["alpaca"],
        "FINNHUB_API_KEY": keys["finnhub"],
        "FINNHUB_PLAN": "paid",
        "FINNHUB_URL": rest["finnhub"],
        "TIINGO_API_KEY": keys["tiingo"],
        "TIINGO_URL": rest["tiingo"],
    }

    def run(*arguments: str, **changed: str) -> tuple[int, list[Any], str]:
        done = subprocess.run(
            [sys.executable, "-m", "ops.cli", "fetch", *arguments],
            env=environment | settings | changed,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    return run


@pytest.mark.parametrize("provider", COVERAGE)
def test_bars_with_their_provenance(fetch: Any, provider: str) -> None:
    code, rows, err = fetch("bars", provider, "AAPL,NOBODY", *WINDOW)
    assert code == 0, err
    said = json.loads(err.splitlines()[-1])
    assert (said["provider"], said["coverage"]) == (provider, COVERAGE[provider])
    assert said["missing"] == ["NOBODY"]
    assert said["rows"] == len(rows) > 10
    assert {row["symbol"] for row in rows} == {"AAPL"}
    assert all(
        row["low"] <= row["open"] <= row["high"] and row["ts_event"] % 60_000_000_000 == 0 for row in rows
    )


def test_the_same_minutes_whoever_is_asked_for_the_consolidated_tape(fetch: Any) -> None:
    closes = {}
    for provider in ("polygon", "alpaca"):
        _, rows, _ = fetch("bars", provider, "AAPL", *WINDOW)
        closes[provider] = {row["ts_event"]: row["close"] for row in rows}
    assert closes["polygon"] == closes["alpaca"]
    _, rows, _ = fetch("bars", "iex", "AAPL", *WINDOW)
    assert sum(r["volume"] for r in rows) < 100_000


def test_iex_by_way_of_alpaca(fetch: Any) -> None:
    code, rows, err = fetch("bars", "iex", "AAPL", *WINDOW, IEX_BACKEND="alpaca")
    assert (code, json.loads(err.splitlines()[-1])["feed"]) == (0, "iex")
    assert rows


def test_quotes(fetch: Any) -> None:
    code, rows, err = fetch("quotes", "polygon", "AAPL,MSFT")
    assert code == 0, err
    assert [row["symbol"] for row in rows] == ["AAPL", "MSFT"]


@pytest.mark.parametrize(
    ("arguments", "changed", "code", "said"),
    [
        (("bars", "polygon", "AAPL", *WINDOW), {"POLYGON_API_KEY": ""}, 3, "set POLYGON_API_KEY"),
        (("bars", "polygon", "AAPL", *WINDOW), {"POLYGON_API_KEY": "canary-key"}, 1, "AuthFailed"),
        (("bars", "polygon", "AAPL", *WINDOW), {"POLYGON_URL": "http://127.0.0.1:9"}, 4, "polygon: "),
        (
            ("bars", "polygon", "AAPL", "--start", "2025-11-13T15:00Z", "--end", "2025-11-13T15:00Z"),
            {},
            2,
            "empty",
        ),
        (("bars", "polygon", "AAPL", "--start", "2025-11-13", "--end", "2025-11-14"), {}, 2, "has no zone"),
        (("bars", "iexcloud", "AAPL", *WINDOW), {}, 2, "iexcloud"),
        (("bars", "polygon", ",", *WINDOW), {}, 2, "symbols: none"),
    ],
)
def test_what_goes_wrong_is_said_in_a_line(
    fetch: Any, arguments: tuple[str, ...], changed: dict[str, str], code: int, said: str
) -> None:
    ended, rows, err = fetch(*arguments, **changed)
    assert (ended, rows) == (code, [])
    assert said in err
    assert "Traceback" not in err
    assert "canary-key" not in err
