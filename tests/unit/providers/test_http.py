"""HTTP as every provider is asked, over a real socket: one repetition, one deadline, no key in an error."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from providers.http import Http, Timeouts, segment
from schemas.errors import Malformed, ProviderAway
from tests.unit.providers.vendor_server import Asked, CountingGate, Said, StillClock, Vendor, vendor

KEY = "s3cret/k€y"
GOOD = Said({"status": "OK"})


@asynccontextmanager
async def http(
    answer: Callable[[Asked], Said], **options: Any
) -> AsyncIterator[tuple[Vendor, Http, CountingGate]]:
    gate = CountingGate()
    async with vendor(answer) as server:
        timeouts = options.pop("timeouts", Timeouts(pause=0.001))
        one = Http("acme", f"{server.url}/base", StillClock(), gate=gate, timeouts=timeouts, **options)
        try:
            yield server, one, gate
        finally:
            await one.close()


def in_turn(*answers: Said) -> Callable[[Asked], Said]:
    remaining = iter(answers)
    return lambda _: next(remaining)


async def test_path_and_query_arrive_as_they_were_meant():
    async with http(lambda _: GOOD) as (server, one, gate):
        answer = await one.get(f"/v2/{segment('BRK/B')}", {"from": 1, "end": "2026-01-05T00:00:00+00:00"})
        assert (answer.status, answer.body, answer.requests) == (200, b'{"status":"OK"}', 1)
        (asked,) = server.asked
        assert asked.path == "/base/v2/BRK%2FB"
        assert asked.query == {"from": "1", "end": "2026-01-05T00:00:00+00:00"}
        assert gate.passed == 1


@pytest.mark.parametrize(
    "first",
    [
        Said(b"<html>busy</html>", 503, {"Content-Type": "text/html"}),
        Said(b"<html>welcome</html>", 200, {"Content-Type": "text/html"}),
        Said(b"", 200),
        Said(b'{"results":[{"t":1', 200),
        Said(b"", 302, {"Location": "http://127.0.0.1:9/elsewhere"}),
        Said(b"slow down", 408),
    ],
    ids=["503", "html", "empty", "cut", "redirect", "408"],
)
async def test_what_may_pass_is_asked_once_more(first: Said):
    async with http(in_turn(first, GOOD)) as (server, one, gate):
        answer = await one.get("/x")
        assert (answer.status, answer.requests) == (200, 2)
        assert (len(server.asked), gate.passed) == (2, 2), "the repetition passes the gate as well"


async def test_twice_is_enough():
    async with http(lambda _: Said(b"<html>", 503)) as (server, one, _):
        answer = await one.get("/x")
        assert (answer.status, answer.requests, len(server.asked)) == (503, 2, 2)
    async with http(lambda _: Said(b"<html>", 200)) as (server, one, _):
        with pytest.raises(ProviderAway, match="acme: 200 body: HTML"):
            await one.get("/x")
        assert len(server.asked) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429])
async def test_a_refusal_is_not_repeated(status: int):
    async with http(lambda _: Said({"error": "no"}, status)) as (server, one, _):
        assert (await one.get("/x")).status == status
        assert len(server.asked) == 1


async def test_a_body_has_a_bound_whatever_it_was_compressed_to():
    bomb = Said(gzip.compress(b"[" + b" " * 2_000_000 + b"]"), 200, {"Content-Encoding": "gzip"})
    async with http(lambda _: bomb, max_body_bytes=1_000_000) as (server, one, _):
        with pytest.raises(Malformed, match="body: more than 1000000 bytes"):
            await one.get("/x")
        assert len(server.asked) == 1


async def test_nobody_there():
    one = Http("acme", "http://127.0.0.1:9", StillClock(), timeouts=Timeouts(pause=0.001))
    try:
        with pytest.raises(ProviderAway, match="acme: ClientConnector"):
            await one.get("/x")
    finally:
        await one.close()


async def test_the_deadline_is_of_both_attempts_together():
    handled: list[asyncio.Task[Any]] = []

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handled.append(asyncio.current_task())  # type: ignore[arg-type]
        await reader.read()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    limits = Timeouts(total=0.6, connect=1, read=0.4, pause=0.01)
    one = Http("acme", f"http://127.0.0.1:{port}", StillClock(), timeouts=limits)
    try:
        began = time.monotonic()
        with pytest.raises(ProviderAway):
            await one.get("/x")
        assert 0.55 < time.monotonic() - began < 1.5
    finally:
        await one.close()
        server.close()
        await asyncio.gather(*handled)


async def test_the_next_page_is_on_our_origin_whatever_it_says():
    async with http(lambda _: GOOD, headers={"Authorization": SecretStr(f"Bearer {KEY}")}) as (
        server,
        one,
        _,
    ):
        await one.follow("https://evil.example/v2/aggs?cursor=a%2Bb%3D%3D&limit=2")
        (asked,) = server.asked
        assert (asked.path, asked.query) == ("/v2/aggs", {"cursor": "a+b==", "limit": "2"})
        assert "evil.example" not in str(asked.headers)
        for nonsense in ("", "cursor=1", "mailto:x@example.org", "http://[::1"):
            with pytest.raises(Malformed, match="next page"):
                await one.follow(nonsense)
        assert len(server.asked) == 1


@pytest.mark.parametrize("where", ["headers", "query"])
async def test_no_key_in_an_error(where: str):
    # a header has latin-1 letters only
    key = KEY if where == "query" else KEY.replace("€", "e")
    secret = {where: {"token": SecretStr(key)}}

    def echoes(asked: Asked) -> Said:
        sent = asked.headers.get("token") or asked.query.get("token")
        assert sent == key
        return Said(f"<html>{key} {segment(key)}".encode(), 200)

    async with http(echoes, **secret) as (_, one, _):
        with pytest.raises(ProviderAway) as refused:
            await one.get("/x")
        shown = f"{refused.value} {refused.value!r} {refused.value.raw!r}"
        assert key not in shown
        assert segment(key) not in shown
        assert refused.value.__cause__ is None


async def test_a_key_that_the_kept_part_ends_in_is_cut_off():
    one = Http("acme", "http://127.0.0.1:9", StillClock(), headers={"X": SecretStr("abcdefghij")})
    error = one.clean(Malformed("no", provider="acme", raw=b"x" * 506 + b"abcdef" + b"ghij"))
    assert b"abcdef" not in error.raw


async def test_nothing_but_our_own_repetition_is_sent_when_a_kept_connection_is_reset():
    arrived, handled = 0, list[asyncio.Task[Any]]()

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        handled.append(asyncio.current_task())  # type: ignore[arg-type]
        for _ in range(2):  # answers the first request, drops the second of the same connection
            if not await reader.readuntil(b"\r\n\r\n"):
                break
            arrived += 1
            if arrived > 1:
                break
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.transport.abort()

    server = await asyncio.start_server(once, "127.0.0.1", 0)
    gate = CountingGate()
    port = server.sockets[0].getsockname()[1]
    one = Http("acme", f"http://127.0.0.1:{port}", StillClock(), gate=gate, timeouts=Timeouts(pause=0.001))
    try:
        assert (await one.get("/x")).requests == 1
        with pytest.raises(ProviderAway):
            await one.get("/x")
        assert arrived == gate.passed == 3
    finally:
        await one.close()
        server.close()
        await asyncio.gather(*handled)
