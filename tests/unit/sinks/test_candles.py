"""The rank of a provider."""

from __future__ import annotations

from sinks.candles import ranked


def test_the_first_named_provider_ranks_highest_and_unnamed_ones_lowest():
    rank = ranked(("polygon", "alpaca", "kraken"))
    ranks = [rank(p) for p in ("polygon", "alpaca", "kraken", "nobody")]
    assert ranks == sorted(ranks, reverse=True)
    assert len(set(ranks)) == 4
    assert rank("somebody") == rank("nobody") == 0


def test_without_an_order_all_are_equal():
    assert ranked(())("polygon") == ranked(())("kraken")
