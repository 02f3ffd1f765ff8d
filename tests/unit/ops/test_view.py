"""The view model."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from ops.amounts import UNKNOWN, count, duration, rate
from ops.history import History
from ops.view import view
from streams.status import Counters, QuoteCounters, Rates
from tests.unit.ops.snapshots import NOW_NS, partition, past, worker


def test_every_counter_is_shown():
    numbers: dict[str, Any] = {
        f.name: n for n, f in enumerate(dataclasses.fields(Counters), 1000) if f.type == "int"
    }
    shown = view(worker(counters=Counters(**numbers)), NOW_NS)["totals"]
    numbers.pop("clocks")  # a sign of life of the feed, nothing of ours
    assert shown == numbers


def test_quotes_are_shown_with_what_is_odd_about_them():
    counters = Counters(quotes=QuoteCounters(stored=1, duplicates=2, markers=3, latest=4))
    counters.quotes.flagged["stale"] = 5
    shown = view(worker(counters=counters), NOW_NS)["quotes"]
    flags = shown.pop("flags")
    assert shown == {"stored": 1, "duplicates": 2, "markers": 3, "latest": 4}
    assert {flag: n for flag, n in flags.items() if n} == {"stale": 5}


def test_what_is_not_known_is_none():
    status = worker(partitions=(partition(end=None, committed=None),), last_commit_s=None)
    model = view(status, NOW_NS)
    (p,) = model["partitions"]
    assert (p["committed"], p["end"], p["lag"], p["status"]) == (None, None, None, "unknown")
    assert model["lag"] == {"records": None, "unknown_partitions": 1, "worth_s": None}
    assert model["last_commit_s"] is None
    assert model["history"]["records_in"] == []


def test_lag_is_the_sum_of_what_is_known_and_its_worth_in_time():
    status = worker(partitions=(partition(0), partition(1, end=None)), rates=Rates(10.0, 3.7, 0.0))
    assert view(status, NOW_NS)["lag"] == {"records": 37, "unknown_partitions": 1, "worth_s": 10.0}
    idle = dataclasses.replace(status, rates=Rates(0.0, 0.0, 0.0))
    assert view(idle, NOW_NS)["lag"]["worth_s"] is None


def test_the_model_is_json_and_utc():
    model = json.loads(json.dumps(view(worker(), NOW_NS, past().points(329.0)), allow_nan=False))
    assert model["at"] == "2026-11-24T14:43:51Z"
    assert model["verdict"] == {"word": "OK", "reason": model["verdict"]["reason"], "findings": []}


def test_history_has_the_true_differences():
    history = History()
    for second in range(400):
        history.add(second + 0.2, Counters(records_in=second * 100, stored=second * 50))
        history.add(second + 0.3, Counters(records_in=10**9))  # too soon after the other: not taken
    points = history.points(400.0)
    assert {round(p.records_in, 6) for p in points} == {100.0}
    assert {round(p.stored, 6) for p in points} == {50.0}
    assert len(points) == 100
    assert points[0].age_s > points[-1].age_s
    assert max(p.age_s for p in points) <= 300


def test_history_holds_through_a_pause():
    history = History()
    for second in [*range(10), *range(100, 110)]:
        history.add(float(second), Counters(records_in=second * 7))
    assert {round(p.records_in, 6) for p in history.points(110.0)} == {7.0}


def test_amounts():
    assert (count(None), rate(None), duration(None)) == (UNKNOWN, UNKNOWN, UNKNOWN)
    assert (count(0), rate(0.0), duration(0.0)) == ("0", "0", "0 ms")
    assert (count(1_234_567), rate(0.44), rate(9.96), rate(12_345.6)) == (
        "1,234,567",
        "0.4",
        "10.0",
        "12,346",
    )
    times = (0.0421, 3.21, 59.4, 59.7, 3_599.9, 86_399.0, 200_000.0)
    assert [duration(t) for t in times] == [
        "42 ms", "3.2 s", "59 s", "1 min 00 s", "1 h 00 min", "23 h 59 min", "2 d 7 h",
    ]  # fmt: skip
