"""Conditions as characters: letters of the tape where there are any, and never another's letter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.sale_conditions import POLYGON, numbered, of_finnhub, of_polygon
from tests.absent import absent

RECORDED = Path(__file__).parents[4] / "shared/vendor/polygon/recorded/v3/reference"
TAPE_LETTERS = set("@ ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


@pytest.mark.parametrize(
    ("numbers", "tape", "written"),
    [
        ([0, 12], "C", "@T"),
        ([0], "A", " "),
        ([2], "A", "B"),
        ([2], "C", "W"),
        ([4], "C", "B"),
        ([4], "A", "?ae"),
        ([3], "B", "E"),
        ([3], "C", "?ad"),
        ([2], "", "?ac"),
        ([14, 37], "", "FI"),
        ([6], "A", "?ag"),
        ([675, 676, -1], "C", "?zz?~~?~~"),
        ([], "C", ""),
    ],
)
def test_polygon(numbers: list[int], tape: str, written: str) -> None:
    assert of_polygon(numbers, tape) == written


def test_more_than_fits_is_cut_and_says_so() -> None:
    assert of_polygon([41] * 6, "C") == "?bp?bp?bp?bp?bp~"


def test_finnhub_is_written_in_the_letters_of_utp() -> None:
    assert of_finnhub(["1", "12", "3", "24"]) == "@IWT"
    assert of_finnhub(["7", "900"]) == "?ah?~~"
    with pytest.raises(ValueError, match="invalid literal"):
        of_finnhub(["x"])


@given(st.integers(), st.sampled_from(["A", "B", "C", ""]))
def test_a_number_without_a_letter_holds_no_letter_of_a_tape(number: int, tape: str) -> None:
    written = of_polygon([number], tape)
    assert len(written) == 1 or not set(written) & TAPE_LETTERS


def test_numbers_are_told_apart() -> None:
    assert len({numbered(n) for n in range(676)}) == 676
    for tape in (0, 1):
        same: dict[str, list[int]] = {}
        for number, letters in POLYGON.items():
            same.setdefault(letters[tape], []).append(number)
        shared = {letter: numbers for letter, numbers in same.items() if letter and len(numbers) > 1}
        # opening, reopening and closing trades have two names each on CTA, as they do there
        assert shared == ({"O": [17, 25], "5": [18, 28], "6": [8, 19]} if tape == 0 else {})


def test_the_table_is_that_of_the_recorded_answer() -> None:
    if not RECORDED.exists():
        absent(f"no recorded answers: {RECORDED}")
    answer = json.loads((RECORDED / "conditions_asset_class_stocks.json").read_text())
    published = {
        c["id"]: (c["sip_mapping"].get("CTA", ""), c["sip_mapping"].get("UTP", ""))
        for c in answer["results"]
        if c["type"] == "sale_condition"
    }
    assert len(published) == 10
    # 6 and 8: see the comments there
    assert published.pop(6) == ("I", "")
    assert 6 not in POLYGON
    assert published.pop(8) == ("", "6")
    assert {number: POLYGON[number] for number in published} == published
