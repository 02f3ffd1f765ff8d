"""The checker finds what it is there for: each kind of damage is planted, one at a time."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.invariants import LETTER, Message, Outcome, Position, candle_of, row_of, violations
from tests.market import Market, read_lines, write_market
from tests.oracle import Input, Truth, Version, work_out

TOPIC, GROUP, PARTITIONS = "md.trades.v1", "workers", 3
RECEIVED_MS = 1_750_000_000_000


@dataclass(slots=True)
class Ledger:
    """An outcome that can be damaged."""

    table: list[dict[str, Any]]
    candles: list[Message]
    dead_letters: list[Message]
    positions: list[Position]
    stored: dict[int, int]
    ends: dict[int, int]
    ranks: dict[str, int] = field(default_factory=dict)

    def check(self, truth: Truth) -> list[str]:
        outcome = Outcome(self.table, self.candles, self.dead_letters, self.positions, self.stored, self.ends)
        return violations(truth, outcome, topic=TOPIC, group=GROUP, ranks=self.ranks)


def inputs_of(path: Path) -> list[Input]:
    ends = [0] * PARTITIONS
    inputs: list[Input] = []
    for line in read_lines(path):
        partition = sum(line.key or b"") % PARTITIONS if line.partition is None else line.partition
        at = ends[partition]
        ends[partition] += 1
        inputs.append(Input(partition, at, line.key, line.value, line.headers, RECEIVED_MS + len(inputs)))
    return inputs


def message_of(partition: int, version: Version) -> Message:
    value = json.dumps(candle_of(version)).encode()
    return Message(partition, version.symbol.encode(), value, (("id", version.id.encode()),))


def letter_of(record: Input, reason: str) -> Message:
    place = f"{TOPIC}|{record.partition}|{record.offset}|{GROUP}"
    said = {
        "dlq.id": hashlib.sha256(place.encode()).hexdigest(),
        "dlq.reason": reason,
        "dlq.stage": "fold" if reason == "expired" else "decode",
        "dlq.error.message": "price: not a number",
        "dlq.orig.topic": TOPIC,
        "dlq.orig.partition": record.partition,
        "dlq.orig.offset": record.offset,
        "dlq.orig.timestamp": record.timestamp,
        "dlq.orig.group": GROUP,
        "dlq.first_failed_at": 1,
        "dlq.app.version": "0",
    }
    headers = tuple((name, str(said[name]).encode()) for name in LETTER)
    return Message(record.partition, record.key, record.value, record.headers + headers)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Input]:
    """A market with everything in it: sources, late and expired trades, all kinds of poison."""
    market = Market(3_000, symbols=12, seed=5, partitions=PARTITIONS, late=0.02, expired=0.005, poison=0.06)
    return inputs_of(write_market(tmp_path_factory.mktemp("market") / "small", market).path)


@pytest.fixture(scope="module")
def truth(records: list[Input]) -> Truth:
    truth = work_out(records)
    assert len({v.provider for _, v in truth.versions.values()}) > 1
    assert any(v.revision for _, v in truth.versions.values())
    reasons = {"expired", "schema", "deserialize", "empty", "future", "too_large", "correction"}
    assert set(truth.dead.values()) == reasons
    assert not truth.open_trades
    return truth


@pytest.fixture
def ledger(truth: Truth) -> Ledger:
    return ledger_of(truth)


def ledger_of(truth: Truth) -> Ledger:
    ends: dict[int, int] = {}
    for partition in range(PARTITIONS):
        ends[partition] = 1_000
    return Ledger(
        [row_of(version, {}) for version in truth.table({}).values()],
        [message_of(*published) for published in truth.versions.values()],
        [letter_of(truth.inputs[place], reason) for place, reason in truth.dead.items()],
        [
            Position(0, None, None, 0),
            Position(0, None, 10, 20),
            Position(0, 10, 10, 30),
            Position(0, 10, 30, 30),
        ],
        dict(ends),
        ends,
    )


def test_a_clean_run_has_no_violations(truth: Truth, ledger: Ledger) -> None:
    assert ledger.check(truth) == []


def test_repeats_with_equal_content_are_allowed(truth: Truth, ledger: Ledger) -> None:
    ledger.candles += ledger.candles[5:9]
    again = ledger.dead_letters[0]
    headers = [(n, b"2" if n == "dlq.first_failed_at" else v) for n, v in again.headers]
    ledger.dead_letters.append(again._replace(headers=tuple(headers)))
    assert ledger.check(truth) == []


def test_rank_decides_the_table(truth: Truth, ledger: Ledger) -> None:
    ledger.ranks = {"alpaca": 1, "polygon": 2}
    assert ledger.check(truth)
    ledger.table = [row_of(version, ledger.ranks) for version in truth.table(ledger.ranks).values()]
    assert ledger.check(truth) == []


def test_one_exchange_does_not_replace_the_tape_whatever_the_rank_of_its_provider(
    truth: Truth, ledger: Ledger
) -> None:
    ledger.ranks = {"alpaca": 9}
    rows = truth.table(ledger.ranks)
    ledger.table = [row_of(version, ledger.ranks) for version in rows.values()]
    assert ledger.check(truth) == []
    tape = {place for place, version in rows.items() if version.feed == "sip"}
    iex = next(v for _, v in truth.versions.values() if v.feed == "iex" and (v.symbol, v.ts) in tape)
    at = list(rows).index((iex.symbol, iex.ts))
    ledger.table[at] = row_of(iex, ledger.ranks)
    (found,) = ledger.check(truth)
    assert "must be 'polygon'" in found


def _header(message: Message, name: str, value: bytes) -> Message:
    return message._replace(headers=tuple((n, value if n == name else v) for n, v in message.headers))


def _body(message: Message, **changes: object) -> Message:
    return message._replace(value=json.dumps(json.loads(message.value or b"") | changes).encode())


def _busy(ledger: Ledger) -> int:
    """Index of a row with more than one trade."""
    return next(i for i, row in enumerate(ledger.table) if row["trade_count"] > 1)


def lose_a_trade(ledger: Ledger) -> None:
    row = ledger.table[_busy(ledger)]
    row["trade_count"] -= 1


def lose_a_trade_everywhere(ledger: Ledger) -> None:
    """As if the worker had never seen it: table and topic agree with each other."""
    row = ledger.table[_busy(ledger)]
    row["trade_count"] -= 1
    for i, message in enumerate(ledger.candles):
        candle = json.loads(message.value or b"")
        places = ("symbol", "provider", "feed", "revision")
        if candle["ts_event"] == row["ts"] and all(candle[name] == row[name] for name in places):
            ledger.candles[i] = _body(message, trade_count=candle["trade_count"] - 1)


def double_a_volume(ledger: Ledger) -> None:
    ledger.table[3]["v"] *= 2


def last_digit_of_vwap(ledger: Ledger) -> None:
    ledger.table[3]["vwap"] *= 1 + 2**-52


def lose_a_row(ledger: Ledger) -> None:
    del ledger.table[3]


def invent_a_row(ledger: Ledger) -> None:
    ledger.table.append(ledger.table[3] | {"symbol": "NONE"})


def two_rows_of_one_bar(ledger: Ledger) -> None:
    ledger.table.append(dict(ledger.table[3]))


def another_rule(ledger: Ledger) -> None:
    ledger.table[3]["rule"] = "sip.v1"


def a_worse_source(ledger: Ledger) -> None:
    ledger.table[3]["provider"] = "aaa"


def an_older_revision(ledger: Ledger) -> None:
    row = next(row for row in ledger.table if row["revision"])
    row["revision"] -= 1


def provisional_in_the_end(ledger: Ledger) -> None:
    row = ledger.table[_busy(ledger)]
    row.update(is_final=False, revision=row["trade_count"])


def lose_a_version(ledger: Ledger) -> None:
    del ledger.candles[7]


def invent_a_version(ledger: Ledger) -> None:
    name = ledger.candles[-1].header("id")
    beyond = _body(ledger.candles[-1], revision=99)
    ledger.candles.append(_header(beyond, "id", (name.rpartition("|")[0] + "|r99").encode()))


def another_candle(ledger: Ledger) -> None:
    ledger.candles[7] = _body(ledger.candles[7], close=0.01)


def repeat_with_other_content(ledger: Ledger) -> None:
    ledger.candles.append(_body(ledger.candles[7], close=0.01))


def wrong_id_of_a_candle(ledger: Ledger) -> None:
    ledger.candles[7] = _header(ledger.candles[7], "id", ledger.candles[8].header("id").encode())


def revisions_in_disorder(ledger: Ledger) -> None:
    i = next(i for i, m in enumerate(ledger.candles) if m.header("id").endswith("r1"))
    ledger.candles.insert(0, ledger.candles.pop(i))


def candle_in_another_partition(ledger: Ledger) -> None:
    message = ledger.candles[7]
    ledger.candles[7] = message._replace(partition=(message.partition + 1) % PARTITIONS)


def candle_with_another_key(ledger: Ledger) -> None:
    ledger.candles[7] = ledger.candles[7]._replace(key=b"NONE")


def provisional_that_never_was(ledger: Ledger) -> None:
    first = next(m for m in ledger.candles if m.header("id").endswith("r0"))
    count = json.loads(first.value or b"")["trade_count"]
    message = _body(first, is_final=False, revision=count, close=0.01)
    name = message.header("id").rpartition("|")[0]
    ledger.candles.append(_header(message, "id", f"{name}|p{count}".encode()))


def lose_a_letter(ledger: Ledger) -> None:
    del ledger.dead_letters[4]


def letter_of_a_good_record(ledger: Ledger) -> None:
    record = Input(0, 999_999, b"AA0", b"{}", (), 0)
    ledger.dead_letters.append(letter_of(record, "schema"))


def _letter(ledger: Ledger, change: Callable[[Message], Message]) -> None:
    i = next(i for i, m in enumerate(ledger.dead_letters) if m.value and m.header("dlq.reason") == "schema")
    ledger.dead_letters[i] = change(ledger.dead_letters[i])


def alter_bytes(ledger: Ledger) -> None:
    _letter(ledger, lambda m: m._replace(value=(m.value or b"") + b" "))


def alter_the_key(ledger: Ledger) -> None:
    _letter(ledger, lambda m: m._replace(key=b"other"))


def empty_is_not_null(ledger: Ledger) -> None:
    i = next(i for i, m in enumerate(ledger.dead_letters) if m.value is None)
    ledger.dead_letters[i] = ledger.dead_letters[i]._replace(value=b"")


def lose_an_original_header(ledger: Ledger) -> None:
    i = next(i for i, m in enumerate(ledger.dead_letters) if len(m.headers) == len(LETTER) + 1)
    message = ledger.dead_letters[i]
    ledger.dead_letters[i] = message._replace(headers=message.headers[1:])


def lose_one_of_our_headers(ledger: Ledger) -> None:
    _letter(ledger, lambda m: m._replace(headers=m.headers[:-1]))


def wrong_reason(ledger: Ledger) -> None:
    _letter(ledger, lambda m: _header(m, "dlq.reason", b"deserialize"))


def wrong_stage(ledger: Ledger) -> None:
    _letter(ledger, lambda m: _header(m, "dlq.stage", b"sink"))


def wrong_offset(ledger: Ledger) -> None:
    _letter(ledger, lambda m: _header(m, "dlq.orig.offset", b"0"))


def wrong_timestamp(ledger: Ledger) -> None:
    _letter(ledger, lambda m: _header(m, "dlq.orig.timestamp", b"0"))


def no_message(ledger: Ledger) -> None:
    _letter(ledger, lambda m: _header(m, "dlq.error.message", b""))


def payload_in_the_message(ledger: Ledger) -> None:
    _letter(ledger, lambda m: _header(m, "dlq.error.message", b"x" * 513))


def letter_in_another_partition(ledger: Ledger) -> None:
    _letter(ledger, lambda m: m._replace(partition=m.partition + 1))


def repeat_of_a_letter_with_other_bytes(ledger: Ledger) -> None:
    ledger.dead_letters.append(ledger.dead_letters[4]._replace(value=b"other"))


def committed_ahead_of_stored(ledger: Ledger) -> None:
    ledger.positions.append(Position(0, 31, 30, 40))


def committed_and_nothing_stored(ledger: Ledger) -> None:
    ledger.positions.append(Position(1, 5, None, 40))


def stored_beyond_the_end(ledger: Ledger) -> None:
    ledger.positions.append(Position(0, 30, 41, 40))


def stored_goes_back(ledger: Ledger) -> None:
    ledger.positions.append(Position(0, 10, 29, 40))


def stored_vanishes(ledger: Ledger) -> None:
    ledger.positions.append(Position(0, None, None, 40))


def not_all_stored(ledger: Ledger) -> None:
    ledger.stored[1] -= 1


def a_partition_never_stored(ledger: Ledger) -> None:
    del ledger.stored[1]


#: the damage, and the words that must name it
PLANTS: tuple[tuple[Callable[[Ledger], None], str], ...] = (
    (lose_a_trade, "trade_count is"),
    (lose_a_trade_everywhere, "counts: "),
    (double_a_volume, "v is"),
    (last_digit_of_vwap, "vwap is"),
    (lose_a_row, "is missing"),
    (invent_a_row, "should not be there"),
    (two_rows_of_one_bar, "is there twice"),
    (another_rule, "rule is"),
    (a_worse_source, "provider is"),
    (an_older_revision, "revision is"),
    (provisional_in_the_end, "is_final is"),
    (lose_a_version, "is missing"),
    (invent_a_version, "should not be there"),
    (another_candle, "must be"),
    (repeat_with_other_content, "published twice"),
    (wrong_id_of_a_candle, "published twice"),
    (revisions_in_disorder, "came after"),
    (candle_in_another_partition, "in partition"),
    (candle_with_another_key, "with key"),
    (provisional_that_never_was, "must be"),
    (lose_a_letter, "is missing"),
    (letter_of_a_good_record, "should not be there"),
    (alter_bytes, "other bytes"),
    (alter_the_key, "other bytes"),
    (empty_is_not_null, "other bytes"),
    (lose_an_original_header, "other headers"),
    (lose_one_of_our_headers, "besides"),
    (wrong_reason, "has dlq.reason 'deserialize'"),
    (wrong_stage, "has dlq.stage 'sink'"),
    (wrong_offset, "has dlq.orig.offset '0'"),
    (wrong_timestamp, "has dlq.orig.timestamp '0'"),
    (no_message, "says ''"),
    (payload_in_the_message, "says 'xxx"),
    (letter_in_another_partition, "is in partition"),
    (repeat_of_a_letter_with_other_bytes, "is there twice"),
    (committed_ahead_of_stored, "has committed 31, stored 30"),
    (committed_and_nothing_stored, "has committed 5, stored None"),
    (stored_beyond_the_end, "has stored 41, ends at 40"),
    (stored_goes_back, "went back to 29 from 30"),
    (stored_vanishes, "went back to nothing"),
    (not_all_stored, "ends at 1000, stored 999"),
    (a_partition_never_stored, "ends at 1000, stored None"),
)


@pytest.mark.parametrize(("damage", "words"), PLANTS, ids=[damage.__name__ for damage, _ in PLANTS])
def test_damage_is_found(truth: Truth, ledger: Ledger, damage: Callable[[Ledger], None], words: str) -> None:
    damage(ledger)
    assert any(words in line for line in ledger.check(truth)), ledger.check(truth)


class TestOpenBars:
    """The wall clock may publish and store bars that no record has closed."""

    @pytest.fixture
    def open_truth(self, records: list[Input]) -> Truth:
        # without the clock records at the end, which close everything
        truth = work_out(records[:-PARTITIONS])
        assert truth.open_trades
        return truth

    @staticmethod
    def provisional(truth: Truth) -> tuple[int, Version]:
        places = Counter(bar.source[:2] for bar in truth.bars.values())
        # of the only source that its place has
        bar = next(
            b for b in truth.bars.values() if not b.closed and b.on_time > 1 and places[b.source[:2]] == 1
        )
        return bar.partition, bar.after(bar.on_time, bar.on_time, is_final=False)

    def test_may_be_absent(self, open_truth: Truth) -> None:
        assert ledger_of(open_truth).check(open_truth) == []

    def test_may_be_there(self, open_truth: Truth) -> None:
        ledger = ledger_of(open_truth)
        partition, version = self.provisional(open_truth)
        ledger.table.append(row_of(version, {}))
        ledger.candles.append(message_of(partition, version))
        assert ledger.check(open_truth) == []

    def test_must_not_be_final(self, open_truth: Truth) -> None:
        ledger = ledger_of(open_truth)
        _, version = self.provisional(open_truth)
        ledger.table.append(row_of(version._replace(is_final=True, revision=0), {}))
        assert any("should not be there" in line for line in ledger.check(open_truth))

    def test_must_have_the_trades_that_it_says(self, open_truth: Truth) -> None:
        ledger = ledger_of(open_truth)
        _, version = self.provisional(open_truth)
        ledger.table.append(row_of(version._replace(revision=1), {}))
        assert any("trade_count is" in line for line in ledger.check(open_truth))

    def test_must_not_have_more_trades_than_there_were(self, open_truth: Truth) -> None:
        ledger = ledger_of(open_truth)
        partition, version = self.provisional(open_truth)
        more = version.revision + 1
        ledger.candles.append(message_of(partition, version._replace(revision=more, trade_count=more)))
        assert any("should not be there" in line for line in ledger.check(open_truth))


def test_only_a_few_of_a_kind_are_told(truth: Truth, ledger: Ledger) -> None:
    ledger.table.clear()
    told = ledger.check(truth)
    assert len(told) == 6
    assert told[-1] == f"... and {len(truth.table({})) - 5} more of this kind"
