"""The page of a last quote: where it comes from, and that it never goes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus

import pytest

from ops import quotes
from ops.quotes import QuotePage
from schemas.errors import DatabaseAway, DatabaseRefused
from schemas.quote import L1Quote

NOW_NS = 1_762_795_433_971_744_500


@dataclass
class Sources:
    """What the worker and the database have."""

    held: dict[str, L1Quote] = field(default_factory=dict)
    table: dict[str, L1Quote] = field(default_factory=dict)
    failure: Exception | None = None
    asked: list[str] = field(default_factory=list)

    async def stored(self, symbol: str) -> L1Quote | None:
        self.asked.append(symbol)
        if self.failure is not None:
            raise self.failure
        return self.table.get(symbol)

    def page(self) -> QuotePage:
        return QuotePage(self.held.get, self.stored)


def quote(n: int, later_ns: int = 0, symbol: str = "AAPL") -> L1Quote:
    return L1Quote(symbol, NOW_NS + later_ns, n, "polygon", 1.5, 100.0, feed="sip", flags=("one_sided",))


async def test_what_the_worker_publishes_comes_first_and_asks_no_database():
    sources = Sources(held={"AAPL": quote(7)}, table={"AAPL": quote(9, 10)})
    answer = await sources.page().answer("AAPL", "/quotes/AAPL")
    assert answer.code == HTTPStatus.OK
    assert answer.body == {
        "symbol": "AAPL", "ts_event": NOW_NS, "n": 7, "provider": "polygon", "bid": 1.5, "bid_size": 100.0,
        "feed": "sip", "flags": ("one_sided",), "source": "stream",
    }  # fmt: skip
    assert sources.asked == []


async def test_what_another_worker_publishes_comes_from_the_database():
    sources = Sources(table={"AAPL": quote(9)})
    answer = await sources.page().answer("AAPL", "/quotes/AAPL")
    assert (answer.code, answer.body["n"], answer.body["source"]) == (HTTPStatus.OK, 9, "table")


async def test_what_nobody_knows_is_not_found():
    answer = await Sources().page().answer("MSFT", "/quotes/MSFT")
    assert (answer.code, answer.body["instance"]) == (HTTPStatus.NOT_FOUND, "/quotes/MSFT")
    assert "MSFT" in answer.body["detail"]


@pytest.mark.parametrize("symbol", ["aapl", "", "A B", "A" * 33, "AAPL\n", "A\0"])
async def test_what_is_no_symbol_asks_no_database(symbol):
    sources = Sources()
    assert (await sources.page().answer(symbol, "/")).code == HTTPStatus.NOT_FOUND
    assert sources.asked == []


@pytest.mark.parametrize("failure", [DatabaseAway("connection refused"), DatabaseRefused("no such table")])
async def test_a_database_that_does_not_answer_is_not_a_symbol_that_does_not_exist(failure):
    answer = await Sources(failure=failure).page().answer("AAPL", "/quotes/AAPL")
    assert (answer.code, answer.body["detail"]) == (HTTPStatus.SERVICE_UNAVAILABLE, str(failure))


async def test_nobody_is_shown_an_older_quote_than_before():
    sources = Sources(held={"AAPL": quote(7, 500)})
    page = sources.page()
    await page.answer("AAPL", "/")
    # the partition goes to another worker, and what was published is not stored yet
    sources.table["AAPL"] = quote(5)
    del sources.held["AAPL"]
    assert (await page.answer("AAPL", "/")).body["n"] == 7
    # nor while the database is away
    sources.failure = DatabaseAway("connection refused")
    assert (await page.answer("AAPL", "/")).body["n"] == 7
    # what is as new is taken, whatever its number: after a reset numbers may be lower
    sources.failure, sources.table["AAPL"] = None, quote(2, 500)
    assert (await page.answer("AAPL", "/")).body["n"] == 2
    sources.table["AAPL"] = quote(9, 501)
    assert (await page.answer("AAPL", "/")).body["n"] == 9
    # and when the partition comes back with what was known here long ago
    sources.held["AAPL"] = quote(8, 499)
    assert (await page.answer("AAPL", "/")).body["n"] == 9


async def test_what_is_remembered_does_not_grow_for_ever(monkeypatch):
    monkeypatch.setattr(quotes, "MOST_SHOWN", 2)
    sources = Sources(held={s: quote(1, 500, s) for s in ("A", "B", "C")})
    page = sources.page()
    for symbol in ("A", "B", "A", "C"):
        await page.answer(symbol, "/")
    sources.held.clear()
    found = {symbol: (await page.answer(symbol, "/")).code for symbol in ("A", "B", "C")}
    assert found == {"A": HTTPStatus.OK, "B": HTTPStatus.NOT_FOUND, "C": HTTPStatus.OK}
