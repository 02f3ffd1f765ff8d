"""A suite that cannot fail proves nothing: one field after the other is changed, and must be noticed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conformance import layers
from tests.conformance.matrix import CLIENTS
from tests.conformance.world import World

Change = Callable[[Any], Any]
#: cells without a feed; and without refusals, which a change of data does not touch
DATA = ("minute bars, paged", "day bars", "empty", "quote")


def in_rows(vendor: str, change: Callable[[dict[str, Any]], None]) -> Change:
    """Change every bar or quote of an answer."""

    def changed(body: Any) -> Any:
        body = copy.deepcopy(body)
        for row in _rows(vendor, body):
            change(row)
        return body

    return changed


def _rows(vendor: str, body: Any) -> Iterator[dict[str, Any]]:
    if vendor == "polygon":
        results = body.get("results", [])
        yield from results if isinstance(results, list) else [results]
    elif vendor == "alpaca":
        for of_symbol in (body.get("bars") or body.get("quotes") or {}).values():
            yield from of_symbol if isinstance(of_symbol, list) else [of_symbol]
    elif vendor == "tiingo":
        yield from body if isinstance(body, list) else []
    else:
        yield body


def put(name: str, value: Callable[[Any], Any]) -> Callable[[dict[str, Any]], None]:
    """Replace a field's value where there is the field."""

    def change(row: dict[str, Any]) -> None:
        if name in row:
            row[name] = value(row[name])

    return change


def rename(old: str, new: str) -> Callable[[dict[str, Any]], None]:
    """Give a field another name."""

    def change(row: dict[str, Any]) -> None:
        if old in row:
            row[new] = row.pop(old)

    return change


def swap(one: str, other: str) -> Callable[[dict[str, Any]], None]:
    """Exchange two fields."""

    def change(row: dict[str, Any]) -> None:
        if one in row and other in row:
            row[one], row[other] = row[other], row[one]

    return change


def drop(name: str) -> Callable[[dict[str, Any]], None]:
    """Leave a field out."""
    return lambda row: row.pop(name, None)


def copied(
    source: str, target: str, change: Change = lambda value: value
) -> Callable[[dict[str, Any]], None]:
    """Write what one field has into another."""

    def into(row: dict[str, Any]) -> None:
        if source in row:
            row[target] = change(row[source])

    return into


def shifted(column: Any) -> Any:
    """Move a column of moments by a minute."""
    return [t + 60 for t in column] if isinstance(column, list) else column


def without(name: str) -> Change:
    """Leave a field of the answer itself out."""
    return lambda body: {k: v for k, v in body.items() if k != name} if isinstance(body, dict) else body


def no_next_page(body: Any) -> Any:
    """Say of every page that it is the last."""
    return body | {"next_page_token": None} if "bars" in body else body


MUTATIONS: dict[str, tuple[str, Change]] = {
    "polygon t in seconds": ("polygon", in_rows("polygon", put("t", lambda t: t // 1000))),
    "polygon vw named vwap": ("polygon", in_rows("polygon", rename("vw", "vwap"))),
    "polygon n left out": ("polygon", in_rows("polygon", drop("n"))),
    "polygon prices as text": ("polygon", in_rows("polygon", put("o", str))),
    "polygon high and low swapped": ("polygon", in_rows("polygon", swap("h", "l"))),
    "polygon volume cut to lots": ("polygon", in_rows("polygon", put("v", lambda v: v // 100))),
    "polygon bid and ask swapped": ("polygon", in_rows("polygon", swap("p", "P"))),
    "polygon sizes in lots": ("polygon", in_rows("polygon", put("s", lambda s: s // 100))),
    "polygon quotes in milliseconds": (
        "polygon",
        in_rows("polygon", put("sip_timestamp", lambda t: t // 1_000_000)),
    ),
    "polygon status left out": ("polygon", without("status")),
    "polygon last page forgotten": ("polygon", without("next_url")),
    "alpaca t in milliseconds": ("alpaca", in_rows("alpaca", put("t", lambda _: 1_763_000_000_000))),
    "alpaca vw left out": ("alpaca", in_rows("alpaca", drop("vw"))),
    "alpaca close from the open": ("alpaca", in_rows("alpaca", copied("o", "c"))),
    "alpaca no next page": ("alpaca", no_next_page),
    "alpaca ask and bid swapped": ("alpaca", in_rows("alpaca", swap("ap", "bp"))),
    "alpaca sizes times a hundred": ("alpaca", in_rows("alpaca", put("as", lambda s: s * 100))),
    "finnhub a bar later": ("finnhub", in_rows("finnhub", put("t", shifted))),
    "finnhub columns of unequal length": ("finnhub", in_rows("finnhub", put("c", lambda c: c[:-1]))),
    "finnhub milliseconds": (
        "finnhub",
        in_rows("finnhub", put("t", lambda t: [x * 1000 for x in t] if isinstance(t, list) else t)),
    ),
    "finnhub bid and ask swapped": ("finnhub", in_rows("finnhub", swap("a", "b"))),
    "tiingo days of New York": (
        "tiingo",
        in_rows("tiingo", put("date", lambda d: d.replace("T00:00:00.000Z", "T05:00:00.000Z"))),
    ),
    "tiingo adjusted prices raw": ("tiingo", in_rows("tiingo", copied("close", "adjClose", lambda c: c + 1))),
    "tiingo sizes in lots": ("tiingo", in_rows("tiingo", put("bidSize", lambda s: (s or 0) // 100))),
    "tiingo a column more": ("tiingo", in_rows("tiingo", copied("adjClose", "vwap"))),
}  # fmt: skip


def noticed(world: World, vendor: str) -> list[str]:
    """Return the names of the checks that are red."""
    red = []
    cells = CLIENTS[vendor][1]
    checks = [(f"client: {row}", lambda cell=cells[row]: cell(world)) for row in DATA if row in cells]
    for name, check in (*checks, *layers.everything(world, [vendor])):
        try:
            check()
        except Exception:  # noqa: BLE001 - whatever a client makes of it, it has noticed
            red.append(name)
    return red


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_changed_field_is_noticed(
    world: World, name: str, record_property: Callable[[str, object], None]
) -> None:
    vendor, change = MUTATIONS[name]
    world.emulator.faults.add(vendor, "*", "mutate", times=1_000_000, change=change)  # type: ignore[arg-type]
    try:
        red = noticed(world, vendor)
    finally:
        world.emulator.faults.clear()
    print(f"{name}: {', '.join(red)}")
    record_property("noticed by", ", ".join(red))
    assert red, f"{name} was not noticed"


@pytest.mark.parametrize("vendor", CLIENTS)
def test_a_change_that_changes_nothing_is_not(world: World, vendor: str) -> None:
    world.emulator.faults.add(vendor, "*", "mutate", times=1_000_000, change=copy.deepcopy)  # type: ignore[arg-type]
    try:
        assert noticed(world, vendor) == []
    finally:
        world.emulator.faults.clear()
