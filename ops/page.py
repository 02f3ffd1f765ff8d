"""The status page: the view model as HTML. Whatever a string contains, it stays text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ops.amounts import count, duration, rate, score
from ops.assets import assets
from ops.verdict import BEHIND_RECORDS

CHART_WIDTH, CHART_HEIGHT = 600, 96
SPARK_WIDTH, SPARK_HEIGHT = 120, 22
#: of a provider's history: sixty points, one every ten seconds
SPARK_SPAN_S = 600.0
#: shapes beside the colours: nobody needs to see colour
SHAPES = {
    "OK": "●", "DEGRADED": "▲", "FAIL": "✕",
    "BEHIND": "▲", "STALLED": "■", "unknown": "○",
    "closed": "●", "half-open": "▲", "open": "✕", "no key": "○",
}  # fmt: skip


def render(view: dict[str, Any]) -> str:
    """Return the page for a view model of ``ops.view``."""
    return _environment().get_template("status.html").render(
        v=view,
        static={name: asset.path for name, asset in assets().items()},
        lag_scale=max([BEHIND_RECORDS, *(p["lag"] or 0 for p in view["partitions"])]),
        chart=_chart(view["history"]),
        spark={"width": SPARK_WIDTH, "height": SPARK_HEIGHT},
        sparks={row["name"]: _spark(row["history"]) for row in view["providers"]["rows"]},
        shapes=SHAPES,
    )  # fmt: skip


def polyline(
    ages: Sequence[float], values: Sequence[float], span: float, peak: float, width: int, height: int
) -> str:
    """Return the points of a curve; the right edge is now, the top is the peak."""
    return " ".join(
        f"{width * (1 - age / span):.1f},{height * (1 - value / peak):.1f}"
        for age, value in zip(ages, values, strict=True)
    )


def _spark(history: dict[str, Any]) -> str:
    """Return the points of a score's curve; empty if there are too few for a line."""
    ages, scores = history["age_s"], history["score"]
    if len(ages) < 2:
        return ""
    span = max(SPARK_SPAN_S, ages[0])
    # a pixel of air above and below: a score of 1 or 0 is a line, not an edge
    points = polyline(ages, scores, span, 1.0, SPARK_WIDTH, SPARK_HEIGHT - 2).split(" ")
    return " ".join(f"{x},{float(y) + 1:.1f}" for x, y in (point.split(",") for point in points))


def _chart(history: dict[str, Any]) -> dict[str, Any] | None:
    ages, came, stored = history["age_s"], history["records_in"], history["stored"]
    if len(ages) < 2:
        return None
    span, peak = history["span_s"], max(*came, *stored, 1.0)
    size = (CHART_WIDTH, CHART_HEIGHT)
    lines = {
        "records_in": polyline(ages, came, span, peak, *size),
        "stored": polyline(ages, stored, span, peak, *size),
    }
    left, right = lines["stored"].split(" ")[0].split(",")[0], lines["stored"].split(" ")[-1].split(",")[0]
    area = f"{left},{CHART_HEIGHT} {lines['stored']} {right},{CHART_HEIGHT}"
    return {**lines, "area": area, "peak": peak, "span_s": span, "width": CHART_WIDTH, "height": CHART_HEIGHT}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("ops"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(count=count, duration=duration, rate=rate, score=score)
    return environment
