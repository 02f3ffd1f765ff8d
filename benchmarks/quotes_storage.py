"""Which key of ``quotes_l1`` serves its writer and its readers best, on both editions.

Every batch of the same seeded quotes goes into every candidate in turn, by the COPY of the sink, committed:
what the machine does otherwise hits all of them. Then the questions of operators are asked in turn.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import NamedTuple

import psycopg

from migrations.files import POSTGRES, TIMESCALE
from migrations.runner import migrate_up
from sandbox.account import temporary_folder
from sandbox.embedded_postgres import EmbeddedPostgres
from sandbox.local_timescale import LocalTimescale
from schemas.quote import L1Quote
from sinks import quotes
from sinks.database import Connection

SYMBOLS = 500
#: the symbol that has been silent since the first quote of all
QUIET = SYMBOLS - 1
BATCH = 5_000
#: the hours end in the middle of a day, and begin the day before: two chunks
END = datetime(2026, 3, 11, 3, tzinfo=UTC)
#: so many come late, by up to this
LATE, LATE_NS = 0.02, 2_000_000_000
REST = "ts_ns, provider, feed, seq, n"

#: as view latest_quotes
LATEST = """
    select s.symbol, q.* from {symbols} s cross join lateral (
        select ts, ts_ns, bid, ask, bid_size, ask_size, provider, feed, coverage, seq, n, flags from {table} l
        where l.symbol = s.symbol order by l.ts desc, l.ts_ns desc, l.provider_rank desc, l.n desc limit 1) q
"""
ONE, ALL = "(select symbol from quote_symbols where symbol = %(symbol)s)", "quote_symbols"
WINDOW = """
    select ts_ns, bid, bid_size, ask, ask_size, provider, feed, flags from {table}
    where symbol = %(symbol)s and ts >= %(at)s and ts < %(at)s + interval '5 minutes'
    order by ts, ts_ns, provider, feed, seq, n
"""
ODD = """
    select symbol, ts, bid, ask, provider, feed from {table}
    where ts >= %(at)s and ts < %(at)s + interval '1 minute' and flags & 3 <> 0 order by ts, symbol
"""


class Candidate(NamedTuple):
    """A way to index the table."""

    table: str
    key: str
    beside: str = ""


CANDIDATES = (
    Candidate("symbol_first", f"symbol, ts, {REST}"),
    Candidate("symbol_first_brin", f"symbol, ts, {REST}", "using brin (ts) with (autosummarize)"),
    Candidate("symbol_first_ts", f"symbol, ts, {REST}", "(ts)"),
    Candidate("ts_first", f"ts, symbol, {REST}"),
    Candidate("ts_first_symbol", f"ts, symbol, {REST}", "(symbol, ts desc)"),
)
QUESTIONS = {
    "latest 1": (LATEST, ONE, 40),
    "latest all": (LATEST, ALL, 10),
    "5 min of 1": (WINDOW, "", 40),
    "1 min of all": (ODD, "", 20),
}


def draw(rows: int, hours: float, seed: int) -> Iterator[list[L1Quote]]:
    """Yield batches of quotes, nearly in the order of time; some symbols are busier than others."""
    lots = random.Random(seed)
    names = [f"SIM{k:04d}" for k in range(SYMBOLS)]
    weights = list(accumulate(1 / (k + 20) for k in range(QUIET)))
    mids = [lots.randrange(500, 50_000) for _ in names]
    numbers = [0] * SYMBOLS
    begin = int((END - timedelta(hours=hours)).timestamp()) * 10**9
    step = int(hours * 3_600 * 10**9) // rows
    for first in range(0, rows, BATCH):
        batch = []
        picked = lots.choices(range(QUIET), cum_weights=weights, k=min(BATCH, rows - first))
        if first == 0:
            picked[0] = QUIET
        for i, k in enumerate(picked, first):
            mids[k] = mid = max(100, mids[k] + lots.randrange(-2, 3))
            numbers[k] += 1
            ts = begin + i * step - (lots.randrange(LATE_NS) if lots.random() < LATE else 0)
            spread = i % 50
            batch.append(
                L1Quote(
                    names[k], ts, numbers[k], "polygon", mid / 100, 100.0 + k, (mid + spread) / 100, 200.0,
                    "sip", seq=i, flags=() if spread else ("locked",),
                )
            )  # fmt: skip
        yield batch


class Server:
    """One edition, with a table for each candidate."""

    def __init__(self, option: str, connection: Connection) -> None:
        self.option, self.connection = option, connection
        self.spent: dict[str, float] = defaultdict(float)
        for c in CANDIDATES:
            connection.execute(
                f"create table {c.table} (like quotes_l1 including defaults including constraints)"
            )
            if option == TIMESCALE:
                connection.execute(
                    f"select create_hypertable('{c.table}', by_range('ts', interval '1 day'),"
                    " create_default_indexes => false)"
                )
            connection.execute(f"alter table {c.table} add primary key ({c.key})")
            if c.beside:
                connection.execute(f"create index on {c.table} {c.beside}")
        connection.commit()

    def copy(self, packed: bytes, turn: int) -> None:
        """Store a batch in every candidate, each time another one first."""
        turn %= len(CANDIDATES)
        for c in CANDIDATES[turn:] + CANDIDATES[:turn]:
            began = time.perf_counter()
            with (
                self.connection.cursor() as cursor,
                cursor.copy(quotes.COPY.replace("quotes_l1", c.table)) as copy,
            ):
                copy.write(packed)
            self.connection.commit()
            self.spent[c.table] += time.perf_counter() - began

    def settle(self) -> None:
        """Bring statistics and visibility to where autovacuum would."""
        self.connection.autocommit = True
        for c in CANDIDATES:
            self.connection.execute(f"vacuum analyze {c.table}")
        self.connection.execute("checkpoint")

    def bytes_of_indexes(self, table: str) -> int:
        """Return the size of all indexes, of all chunks."""
        if self.option == TIMESCALE:
            query = f"select sum(pg_indexes_size(chunk))::int8 from show_chunks('{table}') as chunk"
        else:
            query = f"select pg_indexes_size('{table}')"
        (size,) = self.connection.execute(query).fetchone() or (0,)
        return int(size)

    def ask(self, hours: float, seed: int) -> dict[tuple[str, str], float]:
        """Return the median ms of every question to every candidate; all answer alike."""
        lots = random.Random(seed)
        found: dict[tuple[str, str], float] = {}
        for name, (text, symbols, times) in QUESTIONS.items():
            spent: dict[str, list[float]] = defaultdict(list)
            for _ in range(times):
                given = {
                    "symbol": f"SIM{lots.randrange(SYMBOLS):04d}",
                    "at": END - timedelta(seconds=lots.uniform(600, hours * 3_600)),
                }
                answers = []
                for c in CANDIDATES:
                    began = time.perf_counter()
                    rows = self.connection.execute(
                        text.format(table=c.table, symbols=symbols), given
                    ).fetchall()
                    spent[c.table].append((time.perf_counter() - began) * 1_000)
                    answers.append(sorted(map(str, rows)))
                if any(answer != answers[0] for answer in answers):
                    raise SystemExit(f"the candidates answer {name!r} differently")
            found |= {(name, table): statistics.median(ms) for table, ms in spent.items()}
        return found


def report(server: Server, rows: int, answers: dict[tuple[str, str], float]) -> None:
    """Print a table of one edition."""
    (version,) = server.connection.execute("show server_version").fetchone() or ("",)
    print(f"\n{server.option} (PostgreSQL {version.split()[0]}), {rows:,} rows of {SYMBOLS} symbols\n")
    head = ["candidate", "COPY us/row", "index bytes/row", *(f"{name}, ms" for name in QUESTIONS)]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for c in CANDIDATES:
        cells = [c.table, f"{server.spent[c.table] / rows * 1e6:.2f}"]
        cells += [f"{server.bytes_of_indexes(c.table) / rows:.1f}"]
        cells += [f"{answers[name, c.table]:.2f}" for name in QUESTIONS]
        print("| " + " | ".join(cells) + " |")
    for c in CANDIDATES:
        print(f"{c.table}: key ({c.key}){', index ' if c.beside else ''}{c.beside}")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Run it all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--hours", type=float, default=6.0, help="that the quotes are spread over")
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = temporary_folder("tapeflow-bench-")
        stack.callback(shutil.rmtree, folder)
        servers = []
        for option, kind in ((POSTGRES, EmbeddedPostgres), (TIMESCALE, LocalTimescale)):
            url = stack.enter_context(kind(folder / option, say=say)).create_database("bench")
            migrate_up(url, option=option)
            servers.append(Server(option, stack.enter_context(psycopg.connect(url))))
        source = quotes.sources(("polygon",))
        names: set[str] = set()
        for turn, batch in enumerate(draw(given.rows, given.hours, given.seed)):
            packed = quotes.pack(batch, source)
            for server in servers:
                server.copy(packed, turn)
            names.update(quote.symbol for quote in batch)
            if turn % 40 == 39:
                say(f"{(turn + 1) * BATCH:,} rows")
        for server in servers:
            server.connection.execute(quotes.SYMBOLS, (list(names),))
            server.connection.commit()
            server.settle()
            report(server, given.rows, server.ask(given.hours, given.seed))


if __name__ == "__main__":
    main()
