"""The answers about providers, and their block on the page."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import pytest

from ops.page import SPARK_HEIGHT, SPARK_WIDTH, render
from ops.providers import health_history, instant, stats
from ops.view import view
from schemas.provider import PROVIDERS
from schemas.provider_health import HISTORY, HealthPoint
from streams.status import ProvidersStatus
from tests.unit.ops.snapshots import NOW_NS, asked, health, table, worker

SECOND_NS = 1_000_000_000


def rows(status=None) -> dict[str, Any]:
    answer = stats(status or worker(providers=table(), counters=asked()), NOW_NS)
    assert answer.code == HTTPStatus.OK
    return {row["name"]: row for row in answer.body["providers"]}


def page(status) -> str:
    return render(view(status, NOW_NS))


def test_the_history_is_oldest_first():
    answer = health_history(worker(providers=table()), "polygon", "/providers/polygon/health-history")
    history = answer.body["history"]
    assert (answer.code, answer.body["provider"], len(history)) == (HTTPStatus.OK, "polygon", HISTORY)
    assert history[0] == {"timestamp": instant(NOW_NS - 600 * SECOND_NS), "score": 0.98}
    assert history[-1] == {"timestamp": instant(NOW_NS - 10 * SECOND_NS), "score": 0.3125}
    assert [point["timestamp"] for point in history] == sorted(point["timestamp"] for point in history)


def test_a_moment_is_iso_8601_in_utc():
    assert instant(1_795_531_431_045_999_999) == "2026-11-24T14:43:51.045Z"


def test_the_history_of_a_provider_that_was_never_asked_is_empty():
    answer = health_history(worker(providers=table()), "iex", "/x")
    assert (answer.code, answer.body) == (HTTPStatus.OK, {"provider": "iex", "history": []})


@pytest.mark.parametrize("name", ["kraken", "Polygon", "", "polygon ", "../etc/passwd", "<b>"])
def test_there_is_no_other_provider(name):
    answer = health_history(worker(providers=table()), name, f"/providers/{name}/health-history")
    assert (answer.code, answer.content_type) == (HTTPStatus.NOT_FOUND, "application/problem+json")
    assert answer.body["detail"] == "there is no such provider; there are: polygon, finnhub, alpaca, iex"


def test_every_provider_has_a_row_and_what_is_not_known_is_none():
    found = rows()
    assert tuple(found) == PROVIDERS
    polygon, iex = found["polygon"], found["iex"]
    assert polygon.keys() == iex.keys()
    assert (polygon["state"], polygon["fit"], polygon["score"]) == ("open", False, 0.3125)
    assert (polygon["since_s"], polygon["retry_in_s"], polygon["age_s"]) == (12.0, 52.0, 0.5)
    assert polygon["reason"] == (
        "open since 14:43:39Z: 3 failures in a row, the last: away (polygon: 503 no text)"
    )
    assert polygon["window"] == {"samples": 12, "failures": 3, "p50_ms": 85.0, "p95_ms": 91.0}
    assert (polygon["has_key"], polygon["kept_here"], polygon["kept_by"]) == (True, True, "trades-1")
    assert (iex["state"], iex["score"], iex["window"], iex["fit"]) == (None, None, None, True)
    assert (iex["has_key"], iex["kept_here"]) == (False, False)
    assert found["alpaca"]["kept_here"] is False


def test_what_this_worker_asked_is_told_apart_from_the_table():
    here = rows()["polygon"]["here"]
    assert here["selected"] == {"bars_1m": 41, "bars_1d": 0, "quotes_l1": 0}
    assert (here["errors"], here["requests"], here["mean_ms"]) == ({"away": 5}, 3, 4_176.7)
    assert rows()["iex"]["here"] == {
        "selected": {"bars_1m": 0, "bars_1d": 0, "quotes_l1": 0},
        "errors": {},
        "requests": 0,
        "mean_ms": None,
        "disagreement": {"volume": 0.25},
    }


def test_a_probe_that_is_due_is_not_in_the_past():
    late = health(retry_at=NOW_NS - SECOND_NS, ts=NOW_NS + SECOND_NS)
    row = rows(worker(providers=ProvidersStatus(1, (late,))))["polygon"]
    assert (row["retry_in_s"], row["age_s"]) == (0.0, 0.0)


def test_the_page_says_state_score_terms_and_why():
    html = page(worker(providers=table()))
    block = html[html.index('id="providers"') : html.index("</section>", html.index('id="providers"'))]
    by_name = dict(re.findall(r"<tr[^>]*>\s*<th scope=\"row\"><b>(\w+)</b></th>(.*?)</tr>", block, re.DOTALL))
    assert tuple(by_name) == PROVIDERS
    for text in ("✕</span> open", "12 s", "0.31", "0.25", "0.75", "1.00", "91 ms", "probed in 52 s"):
        assert text in by_name["polygon"], text
    assert "open since 14:43:39Z: 3 failures in a row, the last: away" in by_name["polygon"]
    assert "●</span> closed" in by_name["alpaca"]
    assert "probed in" not in by_name["alpaca"]
    assert "▲</span> half-open" in by_name["finnhub"]
    assert "half-open: 1 of 3 probes passed" in by_name["finnhub"]
    assert "○</span> no key" in by_name["iex"]
    assert "table version 1,204" in html


def test_a_provider_with_a_key_that_nobody_has_asked_yet():
    html = page(worker(providers=ProvidersStatus(with_key=frozenset({"iex"}))))
    assert html.count("○</span> unknown") == 1
    assert html.count("not asked yet") == 1
    assert html.count("no key here") == 3


def coordinates(points: str) -> list[tuple[float, float]]:
    pairs = (point.split(",") for point in points.split())
    return [(float(x), float(y)) for x, y in pairs]


def test_the_curve_stays_within_its_frame_and_ends_where_the_score_is():
    html = page(worker(providers=table()))
    curves = re.findall(r'class="spark (\w+)".*?<polyline points="([^"]+)"', html)
    assert [tone for tone, _ in curves] == ["bad", "warn", "good"], "in the order of the providers"
    for _, points in curves:
        pairs = coordinates(points)
        assert len(pairs) == HISTORY
        assert [x for x, _ in pairs] == sorted(x for x, _ in pairs)
        assert all(0 <= x <= SPARK_WIDTH and 0 <= y <= SPARK_HEIGHT for x, y in pairs)
    first, *_, last = coordinates(curves[0][1])
    assert first[0] == 0
    assert last[1] > first[1], "a lower score is lower"


def test_one_point_is_no_curve():
    short = ProvidersStatus(1, (health(history=(HealthPoint(ts=NOW_NS, score=1.0),)),))
    assert "<polyline" not in page(worker(providers=short))


def test_what_a_provider_said_stays_text():
    hostile = '<img src=x onerror="alert(1)">'
    html = page(worker(providers=ProvidersStatus(1, (health(reason=hostile),))))
    assert hostile not in html
    assert "&lt;img src=x" in html
