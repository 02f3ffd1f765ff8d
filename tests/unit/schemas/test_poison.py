"""The corpus through the decoder: every kind of poison has its reason, what is harmless is folded."""

from __future__ import annotations

import random

import pytest

from schemas.dead_letter import MAX_MESSAGE_BYTES, message_of
from schemas.decode import decode_chunk
from schemas.errors import Reason
from schemas.topics import DLQ_MAX_BYTES, TRADES
from tests.poison import BROKER_BYTES, HARMLESS, POISON, REFUSED, TS, Harmless, Specimen, a_tick
from tests.unit.schemas.hostile import Record

RECEIVED_MS = TS // 1_000_000 + 1_000


def test_the_corpus_is_large_and_names_are_unique() -> None:
    assert len(POISON) >= 140
    assert len({specimen.name for specimen in POISON}) == len(POISON)
    assert len({harmless.name for harmless in HARMLESS}) == len(HARMLESS)


def test_every_reason_against_a_value_occurs() -> None:
    of_state_or_sink = {Reason.EXPIRED, Reason.UNSERVICEABLE, Reason.SINK_DATA, Reason.SINK_CONSTRAINT}
    assert {specimen.reason for specimen in POISON} == set(Reason) - of_state_or_sink


@pytest.mark.parametrize("specimen", POISON, ids=lambda s: s.name)
def test_poison_has_its_reason(specimen: Specimen) -> None:
    decoded = decode_chunk([Record(specimen.value, RECEIVED_MS)])
    assert (decoded.trades, decoded.clocks) == ([], [])
    ((_, poison),) = decoded.rejects
    assert poison.reason is specimen.reason
    said = message_of(poison)
    assert said.isprintable()
    assert 0 < len(said.encode()) <= MAX_MESSAGE_BYTES


@pytest.mark.parametrize("harmless", HARMLESS, ids=lambda h: h.name)
def test_harmless_is_a_trade(harmless: Harmless) -> None:
    decoded = decode_chunk([Record(harmless.value, RECEIVED_MS)])
    assert decoded.trades == [harmless.trade]
    assert (decoded.clocks, decoded.rejects) == ([], [])


def test_all_of_it_in_one_chunk_among_good_trades() -> None:
    values = [specimen.value for specimen in POISON] + [a_tick(seq=i) for i in range(500)]
    random.Random(1).shuffle(values)
    records = [Record(value, RECEIVED_MS, offset) for offset, value in enumerate(values)]
    decoded = decode_chunk(records)
    reasons = {specimen.value: specimen.reason for specimen in POISON}
    assert {r.offset: p.reason for r, p in decoded.rejects} == {
        offset: reasons[value] for offset, value in enumerate(values) if value in reasons
    }
    assert len(decoded.trades) == 500
    assert [record.value for record in decoded.records] == [a_tick(seq=t.seq) for t in decoded.trades]


def test_sizes_are_what_the_lists_say() -> None:
    assert TRADES.max_message_bytes == BROKER_BYTES
    assert all(specimen.size < BROKER_BYTES for specimen in POISON)
    assert all(len(value) > BROKER_BYTES for _, value in REFUSED)
    # a dead letter is its original and our headers
    assert DLQ_MAX_BYTES > BROKER_BYTES + 4_096
