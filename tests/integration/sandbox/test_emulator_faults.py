"""Scripted troubles of REST: each is what it is called, hits the calls it should, and is in the log."""

from __future__ import annotations

import time as wall
from typing import Any

import aiohttp
import msgspec
import pytest

from sandbox.vendors.plans import VENDORS, VendorName
from tests.integration.sandbox.vendors import Client, running

#: a call with a body of some size, and the name of its route
CALLS: dict[VendorName, tuple[str, str]] = {
    "polygon": ("/v2/aggs/ticker/AAPL/range/1/minute/2025-11-12/2025-11-12", "aggs"),
    "alpaca": ("/v2/stocks/AAPL/bars?timeframe=1Min&start=2025-11-12&end=2025-11-12&limit=100", "bars_one"),
    "finnhub": ("/stock/candle?symbol=AAPL&resolution=1&from=1762905600&to=1762992000", "candle"),
    "tiingo": ("/iex/AAPL/prices?startDate=2025-11-12&endDate=2025-11-12&resampleFreq=1min", "iex_prices"),
}


async def ask(client: Client, vendor: VendorName) -> tuple[int, str, bytes, Any]:
    url = client.emulator.urls[vendor] + CALLS[vendor][0]
    headers = client.headers(vendor, client.emulator.keys[vendor])
    async with client.session.get(url, headers=headers, allow_redirects=False) as response:
        return response.status, response.content_type, await response.read(), response.headers


@pytest.mark.parametrize("vendor", VENDORS)
async def test_the_script_hits_the_nth_call_and_so_many_after_it(vendor: VendorName) -> None:
    route = CALLS[vendor][1]
    async with running() as (emulator, _, client):
        emulator.faults.add(vendor, route, "5xx", nth=2, times=2, status=502)
        statuses = [(await ask(client, vendor))[0] for _ in range(4)]
        emulator.faults.add(vendor, "*", "5xx")
        statuses.append((await ask(client, vendor))[0])
        assert [(a.status, a.fault) for a in emulator.log.of(vendor, route)] == [
            (200, ""),
            (502, "5xx"),
            (502, "5xx"),
            (200, ""),
            (503, "5xx"),
        ]
    assert statuses == [200, 502, 502, 200, 503]


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("retry_after", [None, "7"])
async def test_too_many_requests_in_the_vendors_words(vendor: VendorName, retry_after: str | None) -> None:
    async with running() as (emulator, _, client):
        emulator.faults.add(vendor, "*", "429", retry_after=retry_after)
        status, content, body, headers = await ask(client, vendor)
    assert (status, content, headers.get("Retry-After")) == (429, "application/json", retry_after)
    assert any(
        word in body.decode().lower() for word in ("too many", "limit reached", "run over", "exceeded")
    )


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(("kind", "status"), [("5xx", 503), ("html", 200), ("redirect", 302)])
async def test_pages_of_html(vendor: VendorName, kind: str, status: int) -> None:
    async with running() as (emulator, _, client):
        emulator.faults.add(vendor, "*", kind)
        got, content, body, _ = await ask(client, vendor)
    assert (got, content) == (status, "text/html")
    assert body.startswith(b"<html>")


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("kind", ["reset", "cut"])
async def test_connections_that_end_too_early(vendor: VendorName, kind: str) -> None:
    async with running() as (emulator, _, client):
        # aiohttp's client asks once more by itself when a connection is reset before an answer
        emulator.faults.add(vendor, "*", kind, times=2 if kind == "reset" else 1)
        with pytest.raises(aiohttp.ClientError):
            await ask(client, vendor)
        assert {(asked.status, asked.fault) for asked in emulator.log.of(vendor)} == {(0, kind)}
        assert (await ask(client, vendor))[0] == 200


@pytest.mark.parametrize("vendor", VENDORS)
async def test_bodies_that_are_wrong(vendor: VendorName) -> None:
    async with running() as (emulator, _, client):
        *_, whole, _ = await ask(client, vendor)
        emulator.faults.add(vendor, "*", "truncated")
        _, content, half, _ = await ask(client, vendor)
        assert content == "application/json"
        assert whole.startswith(half[: len(half) - 40])
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(half)
        emulator.faults.add(vendor, "*", "wrong_content_type")
        assert (await ask(client, vendor))[1] == "text/html"
        emulator.faults.add(vendor, "*", "wrong_type")
        _, _, text, _ = await ask(client, vendor)
        assert text != whole
        assert not list(numbers(msgspec.json.decode(text)))
        assert numbers(msgspec.json.decode(whole))


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [n for part in value.values() for n in numbers(part)]
    if isinstance(value, list):
        return [n for part in value for n in numbers(part)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("kind", ["slow", "stall"])
async def test_slow_answers_take_as_long_as_the_script_says(vendor: VendorName, kind: str) -> None:
    async with running() as (emulator, _, client):
        *_, whole, _ = await ask(client, vendor)
        emulator.faults.add(vendor, "*", kind, seconds=0.4)
        began = wall.monotonic()
        status, _, body, _ = await ask(client, vendor)
        assert wall.monotonic() - began >= 0.35
    assert status == 200
    if vendor != "polygon":  # its bodies carry an id of their own
        assert body == whole
    assert len(body) == len(whole)


async def test_a_client_that_gives_up_on_a_slow_body_leaves_nothing_behind() -> None:
    async with running() as (emulator, _, client):
        emulator.faults.add("polygon", "*", "slow", seconds=30)
        with pytest.raises(TimeoutError):
            async with client.session.get(
                emulator.urls["polygon"] + CALLS["polygon"][0],
                headers=client.headers("polygon", "polygon-paid"),
                timeout=aiohttp.ClientTimeout(total=0.3),
            ) as response:
                await response.read()
        assert (await ask(client, "polygon"))[0] == 200


async def test_cursors_that_loop_and_lead_away() -> None:
    path = CALLS["polygon"][0] + "?limit=50"
    async with running() as (emulator, _, client):
        emulator.faults.add("polygon", "aggs", "looping_cursor", times=3)
        seen = []
        for _ in range(3):
            body = await client.get("polygon", path)
            seen.append((body["results"][0]["t"], body["next_url"]))
            path = body["next_url"].removeprefix("https://api.massive.com")
        assert seen[1] == seen[2]
        emulator.faults.add("polygon", "aggs", "foreign_next")
        body = await client.get("polygon", path)
        assert body["next_url"].startswith("https://collector.invalid/v2/aggs/")

        emulator.faults.add("alpaca", "*", "looping_cursor", times=4)
        query = {"timeframe": "1Min", "start": "2025-11-12", "end": "2025-11-12", "limit": "50"}
        tokens = []
        for _ in range(3):
            page = await client.get("alpaca", "/v2/stocks/AAPL/bars", **query)
            tokens.append(query.get("page_token", ""))
            query["page_token"] = page["next_page_token"]
        assert tokens[1] == tokens[2] != ""


async def test_bodies_can_be_mutated_and_replaced() -> None:
    def rename(body: Any) -> Any:
        for row in body["results"]:
            row["vwap"] = row.pop("vw")
        return body

    async with running() as (emulator, _, client):
        emulator.faults.add("polygon", "aggs", "mutate", change=rename)
        body = await client.get("polygon", CALLS["polygon"][0])
        assert "vw" not in body["results"][0]
        assert "vwap" in body["results"][0]
        emulator.faults.add("polygon", "aggs", "status", status=200, body=b'{"status":"NOT_AUTHORIZED"}')
        assert await client.get("polygon", CALLS["polygon"][0]) == {"status": "NOT_AUTHORIZED"}


async def test_keys_are_not_in_the_log() -> None:
    async with running() as (emulator, _, client):
        url = emulator.urls["finnhub"] + "/quote?symbol=AAPL&token=finnhub-paid"
        async with client.session.get(url) as response:
            assert response.status == 200
        (asked,) = emulator.log.of("finnhub")
    assert "token" not in asked.path
    assert asked.key == "finnhub-paid"
