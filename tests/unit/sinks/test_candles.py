"""How bars made of trades are ranked."""

from __future__ import annotations

from sinks.candles import ranked


def test_the_first_named_provider_ranks_highest_and_unnamed_ones_lowest():
    rank = ranked(("polygon", "alpaca", "kraken"))
    ranks = [rank(p, "")[1] for p in ("polygon", "alpaca", "kraken", "nobody")]
    assert ranks == sorted(ranks, reverse=True)
    assert len(set(ranks)) == 4
    assert rank("somebody", "") == rank("nobody", "")


def test_without_an_order_all_are_equal():
    assert ranked(())("polygon", "sip") == ranked(())("alpaca", "sip")


def test_the_feed_says_whose_trades_they_are():
    rank = ranked(("alpaca", "polygon"))
    coverages = [rank("alpaca", feed)[0] for feed in ("sip", "iex", "", "crypto")]
    assert coverages == ["consolidated", "iex", "", ""]


def test_one_exchange_is_below_the_tape_whoever_it_is():
    rank = ranked(("alpaca", "polygon"))
    assert rank("alpaca", "iex")[1] < rank("nobody", "sip")[1] == rank("nobody", "")[1]
