"""The headers of a dead letter."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.dead_letter import MAX_MESSAGE_BYTES, DeadLetter, dead_letter_id, message_of
from schemas.errors import Poison, Reason
from tests.invariants import LETTER


def a_letter(**changes: Any) -> DeadLetter:
    values: dict[str, Any] = {
        "id": dead_letter_id("md.trades.v1", 3, 17, "tapeflow"),
        "reason": Reason.SCHEMA,
        "stage": "decode",
        "error_message": "price: Input should be greater than 0",
        "orig_topic": "md.trades.v1",
        "orig_partition": 3,
        "orig_offset": 17,
        "orig_timestamp": 1_700_000_040_000,
        "orig_group": "tapeflow",
        "first_failed_at": 1_700_000_041_000_000_000,
        "app_version": "0.1.0",
    }
    return DeadLetter(**(values | changes))


class TestHeaders:
    def test_names_and_order(self) -> None:
        assert tuple(name for name, _ in a_letter().headers()) == LETTER

    def test_values_are_text(self) -> None:
        headers = dict(a_letter(error_message="é").headers())
        assert headers["dlq.reason"] == b"schema"
        assert headers["dlq.orig.partition"] == b"3"
        assert headers["dlq.orig.offset"] == b"17"
        assert headers["dlq.orig.timestamp"] == b"1700000040000"
        assert headers["dlq.error.message"] == "é".encode()

    @pytest.mark.parametrize("reason", Reason)
    def test_every_reason_reads_as_its_name(self, reason: Reason) -> None:
        assert dict(a_letter(reason=reason).headers())["dlq.reason"] == reason.value.encode()

    def test_refuses_what_cannot_be(self) -> None:
        for wrong in ({"orig_offset": -1}, {"reason": "because"}, {"error_message": "x" * 513}):
            with pytest.raises(ValidationError):
                a_letter(**wrong)


class TestId:
    def test_is_the_hash_that_it_always_was(self) -> None:
        # consumers drop repeats by it, across versions
        assert (
            dead_letter_id("md.trades.v1", 3, 17, "tapeflow")
            == "b78e4584fe5e166679b00799a80dc8e96095e8a39139baced58e87a9c8cab8aa"
        )

    def test_is_another_for_every_other_record(self) -> None:
        ids = {
            dead_letter_id(*record)
            for record in (
                ("md.trades.v1", 3, 17, "tapeflow"),
                ("md.trades.v2", 3, 17, "tapeflow"),
                ("md.trades.v1", 31, 7, "tapeflow"),
                ("md.trades.v1", 3, 18, "tapeflow"),
                ("md.trades.v1", 3, 17, "other"),
            )
        }
        assert len(ids) == 5


class TestMessage:
    @settings(max_examples=200, deadline=None)
    @given(st.text() | st.text(min_size=300, max_size=900))
    def test_is_short_and_printable(self, detail: str) -> None:
        said = message_of(Poison(Reason.SCHEMA, detail))
        assert said.isprintable()
        assert len(said.encode()) <= MAX_MESSAGE_BYTES
        a_letter(error_message=said).headers()

    def test_keeps_what_is_short_and_printable(self) -> None:
        assert (
            message_of(Poison(Reason.SCHEMA, "price: zu klein, größer als 0"))
            == "price: zu klein, größer als 0"
        )

    def test_shows_where_something_unprintable_was(self) -> None:
        assert message_of(Poison(Reason.SCHEMA, "a\nb\x1b[31mc\u202ed\ud800")) == "a�b�[31mc�d�"
