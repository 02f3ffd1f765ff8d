"""``tapeflow emulator``: says where it is, serves, and stops when it is told to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request

PROGRAM = "from ops.commands.emulator import emulator; emulator()"


def test_it_says_where_it_is_and_stops_on_a_signal() -> None:
    command = [sys.executable, "-c", PROGRAM, "--speed", "60", "--symbols", "3", "--plan", "delayed"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        asked = urllib.request.Request(
            said["rest"]["polygon"] + "/v2/aggs/ticker/AAPL/prev",
            headers={"Authorization": f"Bearer {said['keys']['polygon']}"},
        )
        with urllib.request.urlopen(asked, timeout=10) as response:
            body = json.load(response)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    assert said["symbols"] == ["AAPL", "SPY", "TSLA"]
    assert said["keys"]["alpaca"] == "alpaca-delayed"
    assert said["alpaca_secret"] == "alpaca-delayed-secret"
    assert body["results"][0]["T"] == "AAPL"


def test_a_time_without_zone_is_refused() -> None:
    command = [sys.executable, "-c", PROGRAM, "--start", "2025-11-14T09:45:00"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "add its zone" in done.stderr
