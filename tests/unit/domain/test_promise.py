"""What is promised of event time: never before it is known, never back, never more than has come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from domain.promise import RECENT, SLACK_NS, Promise

S = 1_000_000_000
NOW = 1_764_000_000 * S
LATE = 900 * S


def promise(*delays: int) -> Promise:
    one = Promise()
    for delay in delays:
        one.seen(NOW - delay, NOW)
    return one


def test_before_the_first_tick_nothing_is_promised() -> None:
    assert promise().up_to(NOW) is None
    assert promise().kept_ns == 0


def test_a_live_feed_promises_the_moment_of_the_ping_less_its_delay() -> None:
    assert promise(S // 10).up_to(NOW) == NOW - S // 10


def test_a_delayed_feed_promises_the_delayed_moment_without_being_told() -> None:
    assert promise(LATE, LATE + S).up_to(NOW) == NOW - LATE


def test_clocks_that_are_behind_the_market_promise_no_future() -> None:
    assert promise(-5 * S).up_to(NOW) == NOW


def test_late_prints_and_wrong_times_do_not_count() -> None:
    assert promise(*[S // 10] * 10, *[600 * S] * 4).up_to(NOW) == NOW - S // 10
    assert promise(*[LATE] * 10, *[-60 * S] * 4).up_to(NOW) == NOW - LATE


def test_a_backlog_holds_the_promise_back() -> None:
    one = promise(*[S // 10] * RECENT)
    kept = one.up_to(NOW)
    assert kept is not None
    for n in range(RECENT):
        one.seen(NOW, NOW + 30 * S + n)
    assert one.up_to(NOW + 20 * S) == kept


@given(
    st.lists(
        st.one_of(
            st.integers(-S, 1_000 * S).map(lambda d: ("tick", d)),
            st.integers(0, 10**12).map(lambda t: ("ping", t)),
        )
    )
)
def test_a_promise_never_goes_back(steps: list[tuple[str, int]]) -> None:
    one, last = Promise(), 0
    for kind, value in steps:
        if kind == "tick":
            one.seen(NOW - value, NOW)
        elif (kept := one.up_to(NOW + value)) is not None:
            assert last <= kept <= NOW + 10**12
            last = kept


def test_a_successor_takes_promise_and_delay_over() -> None:
    one = Promise()
    one.resume(NOW - LATE - 5 * S, LATE)
    assert one.kept_ns == NOW - LATE - 5 * S
    assert one.up_to(NOW) == NOW - LATE


@given(st.lists(st.integers(0, 2_000 * S), min_size=1), st.integers(0, S))
def test_nothing_published_by_now_is_beyond_what_is_reached(delays: list[int], sooner: int) -> None:
    # a tick that is lost may have come as soon as any did, and a little sooner; never from the future
    lost = NOW - max(0, min(delays) - min(sooner, SLACK_NS))
    assert promise(*delays).reached(NOW) >= lost


def test_a_backlog_does_not_make_a_hole_end_too_early() -> None:
    one = promise(S // 10)
    for _ in range(2 * RECENT):
        one.seen(NOW - 15 * S, NOW)
    assert one.reached(NOW) == NOW


def test_of_a_delayed_feed_a_hole_ends_where_the_feed_is() -> None:
    assert promise(LATE).reached(NOW) == NOW - LATE + SLACK_NS
