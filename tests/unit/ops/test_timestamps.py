"""Text to nanoseconds: exact, or refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.timestamps import DIGITS, EPOCH, ISO, UNITS, guess_unit, to_ns
from schemas.base import EARLIEST_NS, LATEST_NS

IN_BOUNDS = st.integers(EARLIEST_NS, LATEST_NS - 1)


def written(ns: int, unit: str) -> str:
    """Write nanoseconds as a decimal number of a unit, exactly."""
    return format(Decimal(ns).scaleb(-DIGITS[unit]), "f")


@given(st.integers(-(10**20), 10**20), st.sampled_from(list(DIGITS)))
def test_a_decimal_number_of_any_unit_is_read_exactly(ns, unit):
    assert to_ns(written(ns, unit), unit) == ns
    assert to_ns(f" {written(ns, unit)}\t", unit) == ns


@given(IN_BOUNDS, st.sampled_from(list(DIGITS)))
def test_what_is_finer_than_a_nanosecond_is_refused_and_never_rounded(ns, unit):
    text = written(ns, unit)
    text = text if "." in text else f"{text}."
    whole, _, fraction = text.partition(".")
    finer = f"{whole}.{fraction.ljust(DIGITS[unit], '0')}1"
    with pytest.raises(ValueError, match="finer than a nanosecond"):
        to_ns(finer, unit)
    assert to_ns(f"{finer[:-1]}000", unit) == ns, "zeros add nothing"


@pytest.mark.parametrize(
    ("text", "unit", "ns"),
    [
        ("1.7e9", "s", 1_700_000_000 * 10**9),
        ("1700000000.", "s", 1_700_000_000 * 10**9),
        ("+5", "ms", 5_000_000),
        ("-0.5", "us", -500),
        ("1.50", "ns", None),
        ("1.00", "ns", 1),
    ],
)
def test_forms_of_numbers(text, unit, ns):
    if ns is None:
        with pytest.raises(ValueError, match="finer"):
            to_ns(text, unit)
    else:
        assert to_ns(text, unit) == ns


@pytest.mark.parametrize(
    "text",
    ["", " ", "x", "1_000", "0x10", "NaN", "Infinity", "-inf", "1e999999999", "1,5", "1 2", "٣", "9" * 65],
)
@pytest.mark.parametrize("unit", list(DIGITS))
def test_what_is_no_number_is_refused(text, unit):
    with pytest.raises(ValueError, match="not a number"):
        to_ns(text, unit)


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001
    st.integers(-14 * 60, 14 * 60),
    st.text("0123456789", max_size=9),
    st.sampled_from("T "),
)
def test_iso_with_any_zone_and_up_to_nine_digits_is_read_exactly(moment, minutes, fraction, between):
    moment = moment.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes)))
    text = moment.strftime(f"%Y-%m-%d{between}%H:%M:%S")
    zone = moment.strftime("%z")
    since = moment - EPOCH
    expected = (since.days * 86_400 + since.seconds) * 10**9 + int(fraction.ljust(9, "0"))
    for written_zone in (zone, f"{zone[:3]}:{zone[3:]}"):
        assert to_ns(f"{text}{'.' if fraction else ''}{fraction}{written_zone}", ISO) == expected


@pytest.mark.parametrize("zone", ["Z", "z", "UTC", " UTC", "+00", "+0000", "-00:00"])
def test_forms_of_utc(zone):
    assert to_ns(f"2025-11-10T17:23:53{zone}", ISO) == 1_762_795_433 * 10**9


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("2025-11-10T17:23:53", "no time zone"),
        ("2025-11-10", "not an ISO 8601 time"),
        ("10.11.2025 17:23:53Z", "not an ISO 8601 time"),
        ("2025-13-10T17:23:53Z", "no such time"),
        ("2025-02-29T17:23:53Z", "no such time"),
        ("2025-11-10T25:23:53Z", "no such time"),
        ("2025-11-10T17:23:53.1234567891Z", "finer than a nanosecond"),
        ("2025-11-10T17:23:53+25:00", "no such time"),
        ("1762795433", "not an ISO 8601 time"),
        ("2025-11-10T17:23:53Zjunk" + "x" * 1000, "not an ISO 8601 time"),
    ],
)
def test_what_iso_refuses_and_how_it_is_told(text, complaint):
    with pytest.raises(ValueError, match=complaint) as refused:
        to_ns(text, ISO)
    assert len(str(refused.value)) < 240


@given(IN_BOUNDS, st.sampled_from(list(DIGITS)))
def test_at_most_one_unit_fits_so_the_guess_is_right(ns, unit):
    coarse = ns - ns % 10 ** DIGITS[unit]
    if coarse >= EARLIEST_NS:
        assert guess_unit(str(coarse // 10 ** DIGITS[unit])) == unit


def test_iso_is_guessed_and_nonsense_is_not():
    assert guess_unit(datetime(2025, 1, 1, tzinfo=UTC).isoformat()) == ISO
    assert [guess_unit(text) for text in ("", "soon", "5", "-1762795433", "99999999999999999999")] == [
        None
    ] * 5
    assert set(UNITS) == {ISO, *DIGITS}
