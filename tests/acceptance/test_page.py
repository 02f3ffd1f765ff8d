"""The status page of a real worker, in a real browser and as JSON."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

from domain.clock import SystemClock
from schemas.trade import Trade
from tests.acceptance import browser
from tests.acceptance.conftest import RigFactory
from tests.acceptance.rig import wait_until

BUDGET_BYTES = 100_000


def test_page_shows_what_is_stored(make_rig: RigFactory, tmp_path: Path) -> None:
    rig = make_rig()
    rig.start("w1")
    rig.wait_ready("w1")
    now = SystemClock().now_ns()
    rig.send_trades(
        [Trade(f"S{i % 9}", now - (1_000 - i) * 1_000_000, 10.0, 1.0, "sim") for i in range(1_000)]
    )
    rig.send([(None, b"not json", ())])
    rig.wait_stored(1_001, 30)
    wait_until(
        lambda: rig.status("w1")["totals"]["dead_lettered"] == 1, 10, "the page counts the dead letter"
    )

    status = rig.status("w1")
    assert status["verdict"]["word"] in ("OK", "DEGRADED")
    assert status["totals"]["stored"] == 1_000
    assert status["dead_letters"]["deserialize"] == 1
    assert status["lag"]["records"] == 0
    assert len(rig.held("w1")) == rig.partitions
    by_database = dict(rig.query("select part, next_offset from sink_offsets where topic = %s", rig.trades))
    assert {p["partition"]: p["stored"] for p in rig.held("w1")} == by_database

    url = f"http://127.0.0.1:{rig.ports['w1']}/"
    seen = browser.dom(url, tmp_path / "profile")
    assert "<b>tapeflow</b>" in seen
    assert re.search(r"1,000 since start", seen), seen
    for p in range(rig.partitions):
        assert f"{rig.trades}<b>-{p}</b>" in seen
    with browser.Watch(url.rstrip("/")) as watch:
        browser.dom(watch.url, tmp_path / "profile")
    assert watch.refreshes, "the page does not refresh itself: its script has not run"

    with urllib.request.urlopen(url) as answer:
        assert len(answer.read()) < BUDGET_BYTES
    for path, code in (("/livez", 200), ("/readyz", 200), ("/health", 200), ("/nothing", 404)):
        answered, body = rig.get("w1", path)
        assert answered == code, body
        json.loads(body)
    metrics = rig.get("w1", "/metrics", accept="text/plain")[1]
    assert 'tapeflow_records_total{outcome="stored"} 1000.0' in metrics
    assert 'tapeflow_dead_letters_total{reason="deserialize"} 1.0' in metrics
    assert rig.end("w1")[0] == 0
