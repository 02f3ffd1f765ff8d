"""What is remembered of refusals: for how long, of what, and how much at most."""

from __future__ import annotations

from providers.negative_cache import DISPUTED_S, REFUSED_S, UNKNOWN_S, Expiring, NegativeCache
from tests.unit.providers.desk import CLOSE_NS, NOW_NS, OPEN_NS, minutes

DAY_NS = 86_400_000_000_000


def test_keys_expire_each_at_its_time() -> None:
    kept = Expiring[str]()
    kept.put("a", 10.0, "why")
    kept.put("b", 20.0)
    assert kept.get("a", 9.9) == (10.0, "why")
    assert kept.get("a", 10.0) is None
    assert kept.get("b", 10.0) == (20.0, "")
    assert kept.get("c", 0.0) is None
    assert len(kept) == 1


def test_the_oldest_go_when_there_are_too_many() -> None:
    kept = Expiring[int](most=3)
    for n in (1, 2, 3):
        kept.put(n, 10.0)
    kept.put(1, 20.0)  # the newest now
    kept.put(4, 10.0)
    assert [n for n in (1, 2, 3, 4) if kept.get(n, 0.0)] == [1, 3, 4]


def test_symbols_are_unknown_to_one_provider_in_one_kind() -> None:
    cache = NegativeCache()
    cache.forget("polygon", "bars_1m", ("A", "B"), 100.0)
    assert cache.known("polygon", "bars_1m", ("A", "C", "B"), 100.0) == ("C",)
    assert cache.known("polygon", "bars_1d", ("A",), 100.0) == ("A",)
    assert cache.known("alpaca", "bars_1m", ("A",), 100.0) == ("A",)
    assert cache.known("polygon", "bars_1m", ("A",), 100.0 + UNKNOWN_S) == ("A",)


def test_a_dispute_shortens_and_never_lengthens() -> None:
    cache = NegativeCache()
    cache.forget("polygon", "bars_1m", ("A",), 0.0)
    cache.dispute("polygon", "bars_1m", "A", 0.0)
    # said again and again, it must not stay for ever
    cache.dispute("polygon", "bars_1m", "A", DISPUTED_S / 2)
    assert cache.known("polygon", "bars_1m", ("A",), DISPUTED_S - 1) == ()
    assert cache.known("polygon", "bars_1m", ("A",), DISPUTED_S) == ("A",)
    cache.dispute("polygon", "bars_1m", "A", DISPUTED_S)
    assert cache.known("polygon", "bars_1m", ("A",), DISPUTED_S) == ("A",)


def test_a_refusal_reaches_as_far_back_as_it_was_asked() -> None:
    cache = NegativeCache()
    old = minutes("A", start_ns=NOW_NS - 1_000 * DAY_NS, end_ns=NOW_NS - 999 * DAY_NS)
    cache.refuse("polygon", old, NOW_NS, 0.0, "this timeframe")
    assert cache.refused("polygon", old, NOW_NS, REFUSED_S - 1) == (REFUSED_S, "this timeframe")
    assert cache.refused("polygon", old, NOW_NS, REFUSED_S) is None
    cache.refuse("polygon", old, NOW_NS, 0.0, "this timeframe")
    near = minutes("A", start_ns=NOW_NS - 400 * DAY_NS, end_ns=NOW_NS - 399 * DAY_NS)
    assert cache.refused("polygon", near, NOW_NS, 0.0) is None
    assert cache.refused("alpaca", old, NOW_NS, 0.0) is None


def test_a_refusal_of_today_says_nothing_of_yesterday() -> None:
    cache = NegativeCache()
    today = minutes("A", start_ns=OPEN_NS - DAY_NS, end_ns=NOW_NS)
    cache.refuse("polygon", today, NOW_NS, 0.0, "real time")
    assert cache.refused("polygon", today, NOW_NS, 0.0) is not None
    before = minutes("A", start_ns=OPEN_NS - 2 * DAY_NS, end_ns=CLOSE_NS - 2 * DAY_NS)
    assert cache.refused("polygon", before, NOW_NS, 0.0) is None
