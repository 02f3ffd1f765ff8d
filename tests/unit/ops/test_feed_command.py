"""``tapeflow feed``: what it refuses before it connects to anything, and its probes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from click.testing import CliRunner

from ops.commands.feed import feed
from ops.feed_site import FeedSite
from schemas.errors import ConfigInvalid, DependencyAway
from streams.feed import Feed
from streams.feed_counts import FeedCounts, State
from tests.unit.streams.clocks import SetClock


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a folder without settings, and with keys."""
    monkeypatch.chdir(tmp_path)
    for name in ("POLYGON_API_KEY", "FINNHUB_API_KEY", "TIINGO_API_KEY"):
        monkeypatch.setenv(name, "some-key")
    # nobody listens on port 1
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")


def run(*arguments: str) -> Any:
    return CliRunner().invoke(feed, arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["polygon"], "name symbols"),
        (["polygon", "--symbols", " , "], "name symbols"),
        (["polygon", "--symbols", "AAPL,*"], "name no others"),
        (["polygon", "--symbols", "aapl"], "'aapl' is no symbol"),
        (["polygon", "--symbols", "AAPL", "--what", "bars"], "--what bars"),
        (["polygon", "--symbols", "AAPL", "--what", ","], "--what ,"),
        (["nobody", "--symbols", "AAPL"], "'nobody' is not one of"),
        (["polygon", "--symbols-file", "missing.txt"], "does not exist"),
    ],
)
def test_wrong_usage(arguments: list[str], words: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["alpaca", "--symbols", "AAPL"], "alpaca has no key"),
        (["finnhub", "--symbols", "AAPL", "--what", "quotes"], "trades alone"),
        (["iex", "--symbols", "A-B"], "no spelling"),
        (["polygon", "--symbols", "AAPL", "--feed", "sip"], "one feed"),
    ],
)
def test_wrong_configuration(arguments: list[str], words: str) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, ConfigInvalid)
    assert words in str(result.exception)
    assert "some-key" not in f"{result.output}{result.exception}"


def test_symbols_come_from_a_file_too_and_no_broker_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "symbols.txt").write_text("# the big ones\nAAPL\n\nBRK.B  # with a class\nAAPL\n")
    result = run("finnhub", "--symbols", "MSFT", "--symbols-file", "symbols.txt")
    assert isinstance(result.exception, DependencyAway)
    assert "127.0.0.1:1" in str(result.exception)


@dataclass(slots=True)
class StubFeed:
    """Only what a probe looks at."""

    counts: FeedCounts = field(default_factory=lambda: FeedCounts(state="active", since=90.0, received=7))
    buffered: int = 3
    unread_s: float = 1.5
    promised_ns: int = 1_764_000_000_000_000_000


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def test_probes() -> None:
    stub = StubFeed()
    async with FeedSite(cast(Feed, stub), SetClock(100.0), 0) as site:
        assert await get(f"{site.url}/livez") == (200, "ok\n")
        codes: dict[State, int] = {"active": 200, "standby": 200, "connecting": 503, "stopping": 503}
        for state, code in codes.items():
            stub.counts.turn(state, 90.0)
            assert await get(f"{site.url}/readyz") == (code, f"{state}\n")
        async with aiohttp.ClientSession() as session, session.get(f"{site.url}/status") as response:
            told = await response.json()
    assert told["schema_version"] == 1
    assert (told["state"], told["state_s"], told["received"]) == ("stopping", 10.0, 7)
    assert (told["buffered"], told["unread_s"], told["promised_ns"]) == (3, 1.5, 1_764_000_000_000_000_000)
    assert site.url.startswith("http://127.0.0.1:")


async def test_without_a_port_nothing_listens() -> None:
    async with FeedSite(cast(Feed, StubFeed()), SetClock(), None) as site:
        assert site.url == ""
