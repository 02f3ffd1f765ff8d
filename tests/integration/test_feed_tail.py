"""What a feed promised last is found at the ends of its partitions, behind any number of ticks."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schemas.topics import QUOTES_RAW, TRADES
from schemas.trade import ClockTick, Trade
from streams import topics
from streams.feed_tail import LOOK_BACK, last_word
from streams.output import Target
from tests.integration import records

pytestmark = pytest.mark.integration

NOW = 1_764_000_000_000_000_000
S = 1_000_000_000
PARTITIONS = 3


def clock(ts: int, feed: str = "sip", provider: str = "polygon") -> bytes:
    return ClockTick(type="clock", ts_event=ts, provider=provider, feed=feed).model_dump_json().encode()


def trades(count: int) -> list[bytes]:
    trade = Trade("AAPL", NOW, 1.0, 1.0, "polygon", "sip")
    return [msgspec.json.encode(trade)] * count


@pytest.fixture
async def targets(kafka: Any, topic_prefix: str) -> list[Target]:
    await topics.apply(kafka.bootstrap, prefix=topic_prefix, partitions=PARTITIONS)
    return [(topic_prefix + spec.name, p) for spec in (TRADES, QUOTES_RAW) for p in range(PARTITIONS)]


def write(kafka: Any, targets: list[Target], values: dict[int, list[bytes | None]]) -> None:
    """Write to each target, by its index."""
    for index, found in values.items():
        topic, partition = targets[index]
        records.write(kafka.bootstrap, topic, [(partition, None, value) for value in found])


async def found(kafka: Any, targets: list[Target]) -> Any:
    return await last_word(kafka.bootstrap, targets, "polygon", "sip")


async def test_nothing_was_ever_said(kafka: Any, targets: list[Target]) -> None:
    assert await found(kafka, targets) is None


async def test_the_least_of_the_last_clocks_counts(kafka: Any, targets: list[Target]) -> None:
    write(kafka, targets, {n: [clock(NOW), clock(NOW + n * S)] for n in range(6)})
    word = await found(kafka, targets)
    assert word.promised_ns == NOW
    # whoever died while it sent its last clock had not sent it everywhere
    write(kafka, targets, {n: [clock(NOW + 10 * S)] for n in range(5)})
    word = await found(kafka, targets)
    assert word.promised_ns == NOW + 5 * S


async def test_the_least_delay_is_not_that_of_a_backlog(kafka: Any, targets: list[Target]) -> None:
    write(kafka, targets, {n: [clock(NOW), clock(NOW - 3_600 * S)] for n in range(6)})
    word = await found(kafka, targets)
    topic, _ = targets[0]
    appended = [(r.timestamp()[1] * 1_000_000, r.partition()) for r in records.read(kafka.bootstrap, topic)]
    assert 0 <= word.delay_ns - (min(appended)[0] - NOW) <= 5 * S


async def test_a_partition_without_a_clock_makes_everything_unknown(
    kafka: Any, targets: list[Target]
) -> None:
    write(kafka, targets, {n: [clock(NOW)] for n in range(5)})
    assert await found(kafka, targets) is None


@pytest.mark.parametrize("behind", [0, LOOK_BACK[0] - 1, LOOK_BACK[0], LOOK_BACK[1] + 1])
async def test_a_clock_is_found_behind_many_ticks(kafka: Any, targets: list[Target], behind: int) -> None:
    write(kafka, targets, {n: [clock(NOW + n), *trades(behind if n == 4 else 3)] for n in range(6)})
    word = await found(kafka, targets)
    assert word.promised_ns == NOW


async def test_others_and_what_cannot_be_read_are_passed_over(kafka: Any, targets: list[Target]) -> None:
    noise = [clock(NOW + S, feed="iex"), clock(NOW + S, provider="alpaca"), b'{"type":"clock"', b"\xff", None]
    write(kafka, targets, {n: [clock(NOW), *noise] for n in range(6)})
    word = await found(kafka, targets)
    assert word.promised_ns == NOW
