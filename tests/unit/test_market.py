"""The simulated input: reproducible, of the shape that fault tests count on, and foldable to the truth."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from domain.candles import Book, Patience
from schemas.decode import decode_chunk
from tests.invariants import candle_of
from tests.market import START_NS, Line, Market, MarketFile, minutes_of, parse, read_lines, write_market
from tests.oracle import Input, Truth, work_out
from tests.poison import POISON
from tests.unit.schemas.hostile import Record

PARTITIONS = 3
MARKET = Market(
    6_000, minutes=20, symbols=20, seed=7, partitions=PARTITIONS, late=0.02, expired=0.004, poison=0.05
)
#: after everything that happens in it
RECEIVED_MS = START_NS // 1_000_000 + 86_400_000


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> MarketFile:
    return write_market(tmp_path_factory.mktemp("market") / "market", MARKET)


@pytest.fixture(scope="module")
def lines(file: MarketFile) -> list[Line]:
    return list(read_lines(file.path))


@pytest.fixture(scope="module")
def inputs(lines: list[Line]) -> list[Input]:
    ends: Counter[int] = Counter()
    records = []
    for line in lines:
        partition = sum(line.key or b"") % PARTITIONS if line.partition is None else line.partition
        records.append(Input(partition, ends[partition], line.key, line.value, line.headers, RECEIVED_MS))
        ends[partition] += 1
    return records


@pytest.fixture(scope="module")
def truth(inputs: list[Input]) -> Truth:
    return work_out(inputs)


def clocks_of(lines: list[Line]) -> list[Line]:
    return [line for line in lines if line.partition is not None]


class TestFile:
    def test_the_same_market_is_the_same_file(self, file: MarketFile, tmp_path: Path) -> None:
        again = write_market(tmp_path / "again", MARKET)
        assert again.path.read_bytes() == file.path.read_bytes()
        assert again[1:] == file[1:]

    def test_another_seed_is_another(self, tmp_path: Path) -> None:
        one, other = (write_market(tmp_path / str(s), Market(100, seed=s)) for s in (1, 2))
        assert one.path.read_bytes() != other.path.read_bytes()

    def test_counts_what_is_in_it(self, file: MarketFile, lines: list[Line]) -> None:
        assert file.records == len(lines) == file.trades + file.clocks + file.poison
        assert file.trades == MARKET.trades
        assert file.clocks == len(clocks_of(lines))

    def test_has_every_kind_of_poison_and_about_its_share(self, file: MarketFile, lines: list[Line]) -> None:
        values = Counter(line.value for line in lines)
        assert all(values[specimen.value] for specimen in POISON)
        assert file.poison / (file.poison + file.trades) == pytest.approx(MARKET.poison, rel=0.01)

    def test_has_no_poison_unless_asked(self, tmp_path: Path) -> None:
        assert write_market(tmp_path / "clean", Market(2_000)).poison == 0

    def test_puts_a_clock_record_on_every_partition_every_second(self, lines: list[Line]) -> None:
        clocks = clocks_of(lines)
        assert Counter(line.partition for line in clocks).keys() == set(range(PARTITIONS))
        times = [json.loads(line.value or b"")["ts_event"] for line in clocks if line.partition == 0]
        assert len(times) == pytest.approx(MARKET.minutes * 60, abs=2)
        assert times == sorted(times)

    def test_may_end_with_open_bars(self, tmp_path: Path) -> None:
        ends, stays = (write_market(tmp_path / str(e), Market(2_000, ends=e)) for e in (True, False))
        assert stays.clocks == ends.clocks - 8

    def test_spans_the_time_that_was_asked_for(self, lines: list[Line]) -> None:
        last = clocks_of(lines)[-PARTITIONS - 1]
        spanned = json.loads(last.value or b"")["ts_event"] - START_NS
        assert spanned == pytest.approx(MARKET.minutes * 60e9, rel=0.02)

    def test_time_at_a_rate_and_a_speed(self) -> None:
        assert minutes_of(trades=600_000, rate=10_000, speed=20) == 20


class TestLines:
    def test_a_keyed_record(self) -> None:
        assert parse(b'AA0\t{"a":"\t"}\n') == Line(b"AA0", b'{"a":"\t"}')

    def test_a_record_for_a_partition(self) -> None:
        assert parse(b"#7\t{}\n") == Line(None, b"{}", partition=7)

    def test_anything_else(self) -> None:
        line = b'!\t{"key":null,"value":"Cg==","headers":[["a","Yg=="],["c",null]]}\n'
        assert parse(line) == Line(None, b"\n", (("a", b"b"), ("c", None)))

    def test_poison_comes_back_as_it_was(self, lines: list[Line]) -> None:
        read = {(line.value, line.headers) for line in lines}
        assert {(specimen.value, specimen.headers) for specimen in POISON} <= read


class TestTruth:
    def test_has_everything_that_a_fault_test_should_meet(self, truth: Truth) -> None:
        versions = [version for _, version in truth.versions.values()]
        assert {(v.provider, v.feed) for v in versions} == {
            ("polygon", "sip"),
            ("alpaca", "iex"),
            ("polygon", ""),
        }
        assert max(v.revision for v in versions) >= 2
        assert Counter(truth.dead.values())["expired"] > 5
        assert not truth.open_trades
        # equal times, and sizes of which doubles make no exact sum
        assert any(len(set(bar.times)) < len(bar.times) for bar in truth.bars.values())
        assert any(v.volume != sum(truth.bars[v.source].sizes[: v.trade_count]) for v in versions)

    @pytest.mark.parametrize("seed", range(3))
    def test_is_what_decoding_and_folding_give(self, inputs: list[Input], truth: Truth, seed: int) -> None:
        """The worker without its transport: in slices of any size, each partition by itself."""
        rnd = random.Random(seed)
        found: dict[str, object] = {}
        dead: dict[tuple[int, int], str] = {}
        for partition in range(PARTITIONS):
            records = [Record(i.value, RECEIVED_MS, i.offset) for i in inputs if i.partition == partition]
            book, begin = Book(Patience()), 0
            while begin < len(records):
                end = begin + rnd.choice((1, 2, 10, 100, 1_000))
                decoded = decode_chunk(records[begin:end])
                folded = book.fold(decoded.trades, begin, decoded.clocks)
                found |= {bar.id: {f: getattr(bar, f) for f in bar.__struct_fields__} for bar in folded.bars}
                dead |= {(partition, r.offset): poison.reason.value for r, poison in decoded.rejects}
                dead |= {(partition, decoded.records[i].offset): "expired" for i in folded.expired}
                begin = end
        assert found == {name: candle_of(version) for name, (_, version) in truth.versions.items()}
        assert dead == truth.dead
