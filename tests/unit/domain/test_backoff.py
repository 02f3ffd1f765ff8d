"""Waits grow until data has come for a while; a login alone proves nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from domain.backoff import Backoff


def backoff(jitter: float = 0.999_999_999) -> Backoff:
    return Backoff(first_s=0.5, most_s=60.0, proof_s=20.0, jitter=lambda: jitter)


def test_waits_double_up_to_the_most() -> None:
    one = backoff()
    assert [round(one.failed(), 3) for _ in range(10)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_connections_without_lasting_data_go_on_growing() -> None:
    one, now, waits = backoff(), 0.0, []
    for _ in range(5):
        one.received(now)
        one.received(now + 19.9)
        waits.append(round(one.failed(), 3))
        now += 100
    assert waits == [0.5, 1, 2, 4, 8]


def test_data_over_some_time_is_a_success() -> None:
    one = backoff()
    for _ in range(5):
        one.failed()
    one.received(100.0)
    one.received(120.0)
    assert one.failures == 0
    assert round(one.failed(), 3) == 0.5


def test_the_time_between_two_connections_proves_nothing() -> None:
    one = backoff()
    one.received(0.0)
    assert round(one.failed(), 3) == 0.5
    one.received(1_000.0)
    assert round(one.failed(), 3) == 1.0


def test_what_the_vendor_asks_for_is_the_least() -> None:
    one = backoff()
    assert one.failed(30.0) == 30.0
    assert round(one.failed(), 3) == 1.0


@given(st.integers(0, 2_000), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_never_longer_than_the_most_and_never_none(failures: int, jitter: float) -> None:
    one = backoff(jitter)
    for _ in range(failures):
        one.failed()
    assert 0.25 <= one.failed() <= 60.0
