"""Two layers that need no client: answers against the vendor's own description, and against recorded ones."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import jsonschema
import yaml

from tests.absent import absent
from tests.conformance.world import DAYS, MINUTES, NS, World

SHARED = Path(__file__).parents[3] / "shared" / "vendor"
MS = 1_000_000
#: what a moment must look like in each unit: of this century
SECONDS = range(946_684_800, 4_102_444_800)
UNITS = {"s": 1, "ms": 1_000, "ns": 1_000_000_000}


def shared(path: str) -> Path:
    """Return a file that others recorded or wrote; in CI it must be there."""
    found = SHARED / path
    if not found.exists():
        absent(f"no description of a vendor: {found}")
    return found


def ask(world: World, vendor: str, path: str) -> Any:
    """Return an answer as it comes, decoded."""
    key = world.emulator.keys[vendor]  # type: ignore[index]
    headers = {
        "polygon": {"Authorization": f"Bearer {key}"},
        "alpaca": {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": world.emulator.secret(key)},
        "finnhub": {"X-Finnhub-Token": key},
        "tiingo": {"Authorization": f"Token {key}"},
    }[vendor]
    url = world.emulator.urls[vendor] + path  # type: ignore[index]
    with urlopen(Request(url, headers=headers)) as answer:
        return json.load(answer)


def requests() -> dict[str, tuple[str, str, str]]:
    """Return name -> (vendor, path asked, path in the vendor's description)."""
    aggs = "/v2/aggs/ticker/{stocksTicker}/range/{multiplier}/{timespan}/{from}/{to}"
    start, end = MINUTES
    return {
        "polygon minutes": (
            "polygon",
            f"/v2/aggs/ticker/AAPL/range/1/minute/{start // MS}/{end // MS - 1}?limit=100",
            aggs,
        ),
        "polygon days": (
            "polygon",
            f"/v2/aggs/ticker/AAPL/range/1/day/{DAYS[0] // MS}/{DAYS[1] // MS - 1}",
            aggs,
        ),
        "polygon last quote": ("polygon", "/v2/last/nbbo/AAPL", "/v2/last/nbbo/{stocksTicker}"),
        "polygon quotes": (
            "polygon",
            f"/v3/quotes/AAPL?timestamp.gte={start + 36_000 * NS}&order=asc&limit=50",
            "/v3/quotes/{stockTicker}",
        ),
        "finnhub minutes": (
            "finnhub",
            f"/stock/candle?symbol=AAPL&resolution=1&from={start // NS}&to={end // NS}",
            "/stock/candle",
        ),
        "finnhub days": (
            "finnhub",
            f"/stock/candle?symbol=AAPL&resolution=D&from={DAYS[0] // NS}&to={DAYS[1] // NS}",
            "/stock/candle",
        ),
        "finnhub bid and ask": ("finnhub", "/stock/bidask?symbol=AAPL", "/stock/bidask"),
    }


@functools.cache
def _description(vendor: str) -> dict[str, Any]:
    path = {"polygon": "polygon/rest-openapi.json", "finnhub": "finnhub/openapi.yaml"}[vendor]
    text = shared(path).read_text()
    loaded: dict[str, Any] = json.loads(text) if path.endswith("json") else yaml.load(text, _Loader)
    return loaded


#: in the recorded answers, and not in the description
UNDESCRIBED = {".count", ".next_url", ".request_id"}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Takes a plain `=` for the word that it is."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: loader.construct_scalar(node))


def described(vendor: str, path: str, body: Any) -> None:
    """Hold an answer against the vendor's description: types, what must be there, and nothing else."""
    document = _description(vendor)
    paths = document["paths"]
    schema = paths[path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    resolver = {**schema, "components": document.get("components", {})}
    jsonschema.Draft4Validator(resolver).validate(body)
    unknown = [name for name in _unknown(body, schema, document, "") if name not in UNDESCRIBED]
    assert not unknown, f"fields that the vendor does not describe: {unknown[:5]}"


def _unknown(body: Any, schema: Mapping[str, Any], document: Mapping[str, Any], where: str) -> Iterator[str]:
    if isinstance(body, list):
        items = _merged(schema, document).get("items", {})
        for item in body[:3]:
            yield from _unknown(item, items, document, f"{where}[]")
    elif isinstance(body, dict):
        properties = _merged(schema, document).get("properties", {})
        if not properties:
            return
        for name, value in body.items():
            if name not in properties:
                yield f"{where}.{name}"
            else:
                yield from _unknown(value, properties[name], document, f"{where}.{name}")


def _merged(schema: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema with what it refers to and is composed of."""
    if "$ref" in schema:
        target: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return _merged(target, document)
    items: list[Any] = [schema["items"]] if "items" in schema else []
    properties: dict[str, list[Any]] = {name: [value] for name, value in schema.get("properties", {}).items()}
    for part in (*schema.get("allOf", ()), *schema.get("oneOf", ()), *schema.get("anyOf", ())):
        inner = _merged(part, document)
        items += [inner["items"]] if "items" in inner else []
        for name, value in inner["properties"].items():
            properties.setdefault(name, []).append(value)
    merged: dict[str, Any] = {"properties": {name: {"allOf": found} for name, found in properties.items()}}
    return merged | ({"items": {"allOf": items}} if items else {})


def in_units(body: Any) -> None:
    """Hold the moments of an answer against the units that the vendor uses."""
    found = list(_moments(body))
    assert found, "there is a moment to look at"
    for name, value, unit in found:
        assert type(value) is int, f"{name}: {value!r} is no integer"
        assert value // UNITS[unit] in SECONDS, f"{name}: {value} are no {unit}"


def _moments(body: Any) -> Iterator[tuple[str, Any, str]]:
    if isinstance(body, dict) and "t" in body and isinstance(body["t"], list):  # finnhub's columns
        yield from (("t", t, "s") for t in body["t"])
    elif isinstance(body, dict) and "bv" in body:
        yield "t", body["t"], "ms"
    elif isinstance(body, dict):
        results = body.get("results", [])
        for row in results if isinstance(results, list) else [results]:
            if "sip_timestamp" in row:
                yield "sip_timestamp", row["sip_timestamp"], "ns"
            elif "P" in row or "p" in row:
                yield "t", row.get("t"), "ns"
            else:
                yield "t", row.get("t"), "ms"


#: name -> (recorded answer, vendor, path asked)
RECORDED: dict[str, tuple[str, str, str]] = {
    "polygon days": (
        "polygon/recorded/v2/aggs/ticker/AAPL/range/1/day/2005-04-01/2005-04-04.json",
        "polygon",
        f"/v2/aggs/ticker/AAPL/range/1/day/{DAYS[0] // MS}/{DAYS[1] // MS - 1}",
    ),
    "polygon last quote": ("polygon/recorded/v2/last/nbbo/AAPL.json", "polygon", "/v2/last/nbbo/AAPL"),
    "polygon quotes": (
        "polygon/recorded/v3/quotes/AAPL.json",
        "polygon",
        f"/v3/quotes/AAPL?timestamp.lte={MINUTES[0] + 40_000 * NS}&limit=10",
    ),
    "alpaca minutes": (
        "alpaca/recorded/getbars_1.json",
        "alpaca",
        "/v2/stocks/bars?symbols=AAPL&timeframe=1Min&start=2025-11-13T15:00:00Z&end=2025-11-13T15:04:00Z",
    ),
    "alpaca days": (
        "alpaca/recorded/getmultibars_1.json",
        "alpaca",
        "/v2/stocks/bars?symbols=AAPL,IBM&timeframe=1Day&start=2025-11-03&end=2025-11-06",
    ),
    "alpaca quotes": (
        "alpaca/recorded/getquotes_2.json",
        "alpaca",
        "/v2/stocks/quotes?symbols=AAPL&start=2025-11-13T15:00:00Z&end=2025-11-13T15:00:20Z",
    ),
    "alpaca latest quotes": (
        "alpaca/recorded/latestquotes_1.json",
        "alpaca",
        "/v2/stocks/quotes/latest?symbols=AAPL,IBM",
    ),
    "tiingo days": (
        "tiingo/recorded/ticker_price_with_date.yaml",
        "tiingo",
        "/tiingo/daily/AAPL/prices?startDate=2025-11-03&endDate=2025-11-05",
    ),
}


def recorded(path: str) -> Any:
    """Return a recorded answer, decoded."""
    text = shared(path).read_text()
    if path.endswith("json"):
        return json.loads(text)
    (one,) = yaml.safe_load(text)["interactions"]
    return json.loads(one["response"]["body"]["string"])


#: fields that were added since an answer was recorded, or that a page has only if there is a next one
SINCE = {"next_url", "request_id", "c", "conditions", "indicators", "i"}


def alike(recorded: Any, ours: Any, where: str = "") -> None:
    """Compare keys, their order and the kinds of values; maps of symbols by their first."""
    if isinstance(recorded, dict):
        assert isinstance(ours, dict), where
        if _by_symbol(recorded):
            assert _by_symbol(ours), where
            alike(next(iter(recorded.values())), next(iter(ours.values())), f"{where}.*")
            return
        theirs = [k for k in recorded if k not in SINCE]
        own = [k for k in ours if k not in SINCE]
        assert set(theirs) == set(own), f"{where}: {sorted(set(theirs) ^ set(own))}"
        assert theirs == own, f"{where}: order {own}, recorded {theirs}"
        for name in theirs:
            alike(recorded[name], ours[name], f"{where}.{name}")
    elif isinstance(recorded, list):
        assert isinstance(ours, list), where
        if recorded and ours:
            alike(recorded[0], ours[0], f"{where}[]")
    else:
        assert _kind(recorded) == _kind(ours) or None in (recorded, ours), (
            f"{where}: {ours!r}, recorded {recorded!r}"
        )


def _by_symbol(value: Mapping[str, Any]) -> bool:
    return bool(value) and all(name.isupper() and isinstance(v, dict | list) for name, v in value.items())


def _kind(value: Any) -> str:
    return (
        "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
    )


def everything(world: World, vendors: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield (name, check without arguments) of both layers, for some vendors."""
    for name, (vendor, path, description) in requests().items():
        if vendor in vendors:
            yield f"described: {name}", functools.partial(_describe, world, vendor, path, description)
    for name, (file, vendor, path) in RECORDED.items():
        if vendor in vendors:
            yield f"recorded: {name}", functools.partial(_compare, world, file, vendor, path)


def _describe(world: World, vendor: str, path: str, description: str) -> None:
    body = ask(world, vendor, path)
    described(vendor, description, body)
    in_units(body)


def _compare(world: World, file: str, vendor: str, path: str) -> None:
    alike(recorded(file), ask(world, vendor, path))
