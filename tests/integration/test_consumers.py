"""The consumers on the page for consumers, run as they stand there and killed, and `tapeflow tail`."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import re
import runpy
import select
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer, TopicPartition

from schemas.quote import Quote, QuoteMarker
from schemas.topics import QUOTES
from streams import topics
from tests.integration import records
from tests.integration.conftest import command
from tests.integration.quote_stream import START_NS, produce, stream

pytestmark = pytest.mark.integration

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = DOCS / "examples"
PAGE = (DOCS / "consuming.md").read_text()
TIMEOUT_S = 60.0

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
async def topic(kafka: Any, topic_prefix: str) -> str:
    await topics.apply(kafka.bootstrap, prefix=topic_prefix)
    name = topic_prefix + QUOTES.name
    assert records.read(kafka.bootstrap, name) == [], "leaders are there"
    return name


@pytest.fixture
def settings(kafka: Any, topic: str, plain_environment: dict[str, str]) -> dict[str, str]:
    return plain_environment | {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "TOPIC_PREFIX": topic.removesuffix(QUOTES.name),
    }


@pytest.fixture
def start(settings: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Start a program whose output goes to a file; all are killed at the end."""
    running: list[subprocess.Popen[str]] = []

    def start(*args: str, out: str = "out") -> subprocess.Popen[str]:
        with (tmp_path / out).open("a") as stdout, (tmp_path / "errors").open("a") as stderr:
            process = subprocess.Popen(
                args, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, text=True,
                env=settings, cwd=tmp_path,
            )  # fmt: skip
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()


def example(name: str) -> list[str]:
    return [sys.executable, str(EXAMPLES / name)]


def until(what: str, condition: Callable[[], bool], process: subprocess.Popen[str], folder: Path) -> None:
    """Wait for something that a process does."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        errors = (folder / "errors").read_text()[-2_000:]
        assert process.poll() is None, f"it ended with {process.returncode}: {errors}"
        assert time.monotonic() < deadline, f"not in {TIMEOUT_S:.0f} s: {what}; {errors}"
        time.sleep(0.05)


def whole_lines(path: Path) -> list[str]:
    """Return the lines of a file that were written to their end."""
    return path.read_text().rpartition("\n")[0].splitlines()


def by_symbol(quotes: list[dict[str, Any]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for quote in quotes:
        found.setdefault(quote["symbol"], []).append(quote["ts_event"])
    return found


def test_every_example_is_on_the_page_and_every_one_there_exists():
    named = set(re.findall(r"\(examples/([\w.]+)\)", PAGE))
    assert named == {path.name for path in EXAMPLES.iterdir() if path.is_file()}


def test_the_values_on_the_page_keep_their_contract():
    quote, marker = re.findall(r"^```json\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)
    known = Quote.model_validate_json(quote)
    assert json.loads(quote).keys() <= known.model_dump().keys()
    known_marker = QuoteMarker.model_validate_json(marker)
    assert json.loads(marker).keys() <= known_marker.model_dump().keys()


@pytest.mark.parametrize("name", ["quotes_confluent.py", "quotes_faust.py"])
async def test_what_was_known_of_a_partition_is_forgotten_when_it_goes(name):
    """It may come back after its numbers began anew, and nobody here has seen the marker that says so."""
    module = runpy.run_path(str(EXAMPLES / name))
    is_new, forget = module["is_new"], module["forget"]
    assert is_new(3, "", {"symbol": "AAPL", "n": 7})
    assert is_new(4, "", {"symbol": "MSFT", "n": 7})
    done = forget(None, [TopicPartition("md.quotes.v1", 3)])
    if done is not None:
        await done
    assert is_new(3, "", {"symbol": "AAPL", "n": 1})
    assert not is_new(4, "", {"symbol": "MSFT", "n": 1})


def rows(database: Path, query: str) -> list[Any]:
    """Return what is in the file by now."""
    if not database.exists():
        return []
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
        there = connection.execute("select 1 from sqlite_master where name = 'quotes'").fetchone()
        return connection.execute(query).fetchall() if there else []


def test_aiokafka_killed_again_and_again_keeps_each_quote_once(kafka, topic, start, tmp_path):
    made = stream()
    database = tmp_path / "quotes.sqlite"
    slices = 6

    def stored() -> int:
        return sum(position for (position,) in rows(database, "select next from positions"))

    def at_least(count: int) -> bool:
        return stored() >= count

    for i in range(slices):
        process = start(*example("quotes_aiokafka.py"))
        part = made.records[i * len(made.records) // slices : (i + 1) * len(made.records) // slices]
        before = stored()
        produce(kafka.bootstrap, topic, part)
        last = i == slices - 1
        enough = len(made.records) if last else before + 1
        until("so many are stored", partial(at_least, enough), process, tmp_path)
        process.kill()
        process.wait()

    columns = "symbol, ts_event, bid, bid_size, ask, ask_size, provider, feed, n, flags"
    found = rows(database, f"select {columns} from quotes order by rowid")
    for symbol in made.expected():
        assert [row for row in found if row[0] == symbol] == [
            (q.symbol, q.ts_event, q.bid, q.bid_size, q.ask, q.ask_size, q.provider, q.feed or None, q.n,
             " ".join(q.flags))
            for q in made.of(symbol)
        ]  # fmt: skip
    assert len(found) == len(made.quotes)
    assert rows(database, "select part, id from markers order by id") == sorted(
        ((partition, key) for partition, key, _ in made.markers), key=lambda marker: marker[1]
    )


def test_aiokafka_that_fails_in_the_middle_keeps_position_and_quotes_together(kafka, topic, start, tmp_path):
    made = stream(200, restarts=False)
    broken: list[Any] = [(0, b"AAPL", b"no quote", [])]
    produce(kafka.bootstrap, topic, [*made.records, *broken])
    process = start(*example("quotes_aiokafka.py"))
    assert process.wait(TIMEOUT_S) == 1
    database = tmp_path / "quotes.sqlite"
    positions = dict(rows(database, "select part, next from positions"))
    stored = set(rows(database, "select symbol || '|' || n from quotes"))
    offsets = dict.fromkeys(range(QUOTES.partitions), 0)
    passed = set()
    for partition, key, _, headers in made.records:
        if offsets[partition] < positions.get(partition, 0) and key is not None:
            passed.add((dict(headers)["id"].decode(),))
        offsets[partition] += 1
    assert stored == passed


def stalled_and_killed(args: list[str], settings: dict[str, str], folder: Path) -> str:
    """Kill a program that cannot write any more, in the middle of a line; return what it has written."""
    with subprocess.Popen(args, stdout=subprocess.PIPE, env=settings, cwd=folder) as process:
        assert process.stdout is not None
        most = fcntl.fcntl(process.stdout, fcntl.F_GETPIPE_SZ) - 8_192  # what Python writes at a time
        deadline = time.monotonic() + TIMEOUT_S
        while int.from_bytes(fcntl.ioctl(process.stdout, termios.FIONREAD, b"\0" * 4), sys.byteorder) < most:
            assert time.monotonic() < deadline, "it does not write"
            time.sleep(0.05)
        process.kill()
        return process.stdout.read().decode()


def committed(bootstrap: str, topic: str, group: str) -> dict[int, int]:
    """Return where a group goes on, by partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    try:
        tps = [TopicPartition(topic, partition) for partition in range(QUOTES.partitions)]
        return {tp.partition: tp.offset for tp in consumer.committed(tps, TIMEOUT_S) if tp.offset >= 0}
    finally:
        consumer.close()


def test_confluent_kafka_killed_says_everything_in_order_once_repeats_are_dropped(
    kafka, topic, settings, start, tmp_path
):
    made = stream(restarts=False)  # without them an id is a quote for ever
    middle = len(made.records) // 2
    produce(kafka.bootstrap, topic, made.records[:middle])
    printed = stalled_and_killed(example("quotes_confluent.py"), settings, tmp_path)
    ids = {json.loads(line)["id"] for line in printed.splitlines()[:-1]}
    done = committed(kafka.bootstrap, topic, "my-quotes")
    offsets = dict.fromkeys(range(QUOTES.partitions), 0)
    for partition, _, _, headers in made.records[:middle]:
        if offsets[partition] < done.get(partition, 0):
            assert dict(headers)["id"].decode() in ids, "committed and not printed"
        offsets[partition] += 1
    # a line that was cut off is one for itself
    (tmp_path / "out").write_text(f"{printed}\n")
    process = start(*example("quotes_confluent.py"))
    produce(kafka.bootstrap, topic, made.records[middle:])
    wanted = {quote.id for _, quote in made.quotes} | {key for _, key, _ in made.markers}

    def said() -> dict[str, Any]:
        """By id, in the order of the first time."""
        found: dict[str, Any] = {}
        for line in whole_lines(tmp_path / "out"):
            with contextlib.suppress(json.JSONDecodeError):
                value = json.loads(line)
                found.setdefault(value["id"], value)
        return found

    until("all are printed", lambda: wanted <= said().keys(), process, tmp_path)
    process.send_signal(signal.SIGINT)
    process.wait(TIMEOUT_S)
    found = said()
    assert found.keys() == wanted
    assert by_symbol([v for v in found.values() if "symbol" in v]) == made.expected()
    crossed = {quote.id for _, quote in made.quotes if quote.flags == ("crossed",)}
    assert {key for key, value in found.items() if value.get("flags") == ["crossed"]} == crossed


def test_confluent_kafka_drops_repeats_of_its_own_life(kafka, topic, start, tmp_path):
    made = stream()
    produce(kafka.bootstrap, topic, made.records)
    process = start(*example("quotes_confluent.py"), "another-group")
    count = len(made.quotes) + len(made.markers)
    until("all are printed", lambda: len(whole_lines(tmp_path / "out")) >= count, process, tmp_path)
    lines = [json.loads(line) for line in whole_lines(tmp_path / "out")]
    assert len(lines) == count
    assert by_symbol([line for line in lines if "symbol" in line]) == made.expected()


def test_the_faust_app(kafka, topic, start, tmp_path):
    made = stream()
    produce(kafka.bootstrap, topic, made.records)
    wide = [
        f"{q.symbol} #{q.n}: {q.bid} to {q.ask}"
        for _, q in made.quotes
        if q.bid is not None and q.ask is not None and q.ask - q.bid > 0.01 * q.ask
    ]
    told = [
        f"partition {partition}: {marker.provider or 'tapeflow'}: {marker.reason}"
        for partition, _, marker in made.markers
    ]
    assert wide
    process = start(*example("quotes_faust.py"), "worker", "--without-web", "-l", "warn")

    def said() -> list[str]:
        lines = whole_lines(tmp_path / "errors")
        return [
            found[1] for line in lines if (found := re.search(r"WARNING\] (\S+ #.*\S|partition .*\S)", line))
        ]

    until("all is said", lambda: len(said()) >= len(wide) + len(told), process, tmp_path)
    process.send_signal(signal.SIGTERM)
    assert process.wait(TIMEOUT_S) == 0, (tmp_path / "errors").read_text()
    assert sorted(said()) == sorted(wide + told)


def test_sql(database_url):
    """Every query of the file, on both editions, on rows that tell them apart."""
    minute = 60 * 10**9
    stored = [
        # symbol, ts_event, bid, ask, provider, feed, seq, n, flags
        ("AAPL", START_NS - 9_000 * minute, 99.0, 99.5, "polygon", "sip", 1, 1, 0),
        ("AAPL", START_NS, 100.0, 100.5, "polygon", "sip", 2, 2, 0),
        ("AAPL", START_NS + 1, 100.25, 100.25, "polygon", "sip", 0, 3, 2),
        ("AAPL", START_NS + 1, 100.75, 100.5, "polygon", "sip", 0, 4, 1),
        ("AAPL", START_NS + minute, 101.0, None, "kraken", "", 0, 5, 4),
        ("MSFT", START_NS, 500.0, 499.0, "polygon", "sip", 3, 1, 1),
        ("IBM", START_NS, 300.0, 301.0, "polygon", "sip", 4, 1, 0),
    ]
    with psycopg.connect(database_url) as connection:
        connection.cursor().executemany(
            """insert into quotes_l1 (symbol, ts, ts_ns, bid, ask, provider, feed, seq, n, flags)
               values (%s, to_timestamp(%s) + %s * interval '1 microsecond',
                       %s, %s, %s, %s, %s, %s, %s, %s)""",
            [(s, t // 10**9, t % 10**9 // 1_000, t, *rest) for s, t, *rest in stored],
        )
        connection.execute("insert into quote_symbols select distinct symbol from quotes_l1")
        text = re.sub(r"^--.*$", "", (EXAMPLES / "quotes.sql").read_text(), flags=re.MULTILINE)
        answers = [connection.execute(query).fetchall() for query in text.split(";") if query.strip()]
    last, window, odd, as_of = answers
    assert [(row[0], row[2], row[4], row[6]) for row in last] == [
        ("AAPL", 101.0, None, "kraken"),
        ("MSFT", 500.0, 499.0, "polygon"),
    ]
    assert [(row[0], row[1]) for row in window] == [(r[1], r[2]) for r in stored[1:5]]
    assert sorted((row[0], row[2], row[3]) for row in odd) == [
        ("AAPL", 100.25, 100.25),
        ("AAPL", 100.75, 100.5),
        ("MSFT", 500.0, 499.0),
    ]
    # both are of the microsecond that is asked for: the later one
    assert [row[1:] for row in as_of] == [(100.75, 100.5)]


def test_the_tail_from_the_beginning_is_the_topic_without_repeats(kafka, topic, start, tmp_path):
    made = stream()
    produce(kafka.bootstrap, topic, made.records)
    wanted = ("AAPL", "XBT/USDT")
    process = start(*command("tail", "quotes", *wanted, "--from", "beginning"))
    count = len(made.of(*wanted)) + len(made.markers)
    until("all are printed", lambda: len(whole_lines(tmp_path / "out")) >= count, process, tmp_path)
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT_S) == 130
    values = [json.loads(line) for line in whole_lines(tmp_path / "out")]
    assert len(values) == count
    expected = {symbol: made.expected()[symbol] for symbol in wanted}
    assert by_symbol([v for v in values if "symbol" in v]) == expected
    # as they are on the topic, with what this version does not know
    assert any(v.get("added_later") == {"n": -1} for v in values)
    assert sum(v.get("type") == "marker" for v in values) == len(made.markers)


def test_the_tail_from_now_on_ends_after_a_count(kafka, topic, start, tmp_path):
    made = stream()
    middle = len(made.records) // 2
    produce(kafka.bootstrap, topic, made.records[:middle])
    process = start(*command("tail", "quotes", "--count", "100"))
    until("it follows", lambda: "from its end" in (tmp_path / "errors").read_text(), process, tmp_path)
    produce(kafka.bootstrap, topic, made.records[middle:])
    assert process.wait(TIMEOUT_S) == 0
    values = [json.loads(line) for line in whole_lines(tmp_path / "out")]
    quotes = [value for value in values if "symbol" in value]
    assert len(quotes) == 100
    new = {json.loads(value)["ts_event"] for _, _, value, _ in made.records[middle:]}
    assert {value["ts_event"] for value in quotes} <= new


def test_the_tail_outlasts_an_outage_of_the_broker(kafka, topic, start, tmp_path):
    made = stream(400, restarts=False)
    middle = len(made.records) // 2
    produce(kafka.bootstrap, topic, made.records[:middle])
    process = start(*command("tail", "quotes", "--from", "beginning", "--count", "400"))
    until("some are printed", lambda: len(whole_lines(tmp_path / "out")) > 100, process, tmp_path)
    kafka.stop()
    kafka.start()
    produce(kafka.bootstrap, topic, made.records[middle:])
    assert process.wait(TIMEOUT_S) == 0, (tmp_path / "errors").read_text()[-2_000:]
    values = [json.loads(line) for line in whole_lines(tmp_path / "out")]
    assert by_symbol([value for value in values if "symbol" in value]) == made.expected()
    assert "Traceback" not in (tmp_path / "errors").read_text()


def test_the_tail_goes_on_past_what_is_no_quote(kafka, topic, start, tmp_path):
    made = stream(200)
    broken: list[Any] = [
        (0, b"AAPL", b"{", []),
        (1, b"AAPL", b'{"ts_event": "noon"}', []),
        (2, None, b"", []),
    ]
    produce(kafka.bootstrap, topic, [*broken, *made.records])
    process = start(*command("tail", "quotes", "--from", "beginning", "--count", "200"))
    assert process.wait(TIMEOUT_S) == 0
    lines = whole_lines(tmp_path / "out")
    assert sum("symbol" in json.loads(line) for line in lines) == 200
    errors = (tmp_path / "errors").read_text()
    assert [f"{topic}[{p}]@0: " in errors for p in range(3)] == [True] * 3


def test_the_tail_is_a_live_table_on_a_terminal(kafka, topic, settings, tmp_path):
    """On a terminal of its own; Ctrl-C leaves it as it was."""
    made = stream(300)
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
    environment = settings | {"TERM": "xterm-256color", "NO_COLOR": "1"}
    process = subprocess.Popen(
        command("tail", "quotes", "AAPL", "MSFT", "TSLA"),
        stdin=far, stdout=far, stderr=far, env=environment, cwd=tmp_path, start_new_session=True,
    )  # fmt: skip
    os.close(far)
    shown = Terminal(near)
    try:
        shown.until("from its end", process)
        produce(kafka.bootstrap, topic, made.records)
        last = {quote.symbol: quote for _, quote in made.quotes}
        for symbol in ("AAPL", "MSFT"):
            shown.until(rf"{symbol} .* {last[symbol].n} ", process)
        shown.until("polygon sip: quotes may be missing from .*: connection lost: 1006", process)
        shown.until(r"tapeflow: quotes may be missing from .*: position reset", process)
        assert "TSLA" in shown.text
        assert "IBM" not in shown.text
        process.send_signal(signal.SIGINT)
        shown.until("\x1b\\[\\?25h", process)  # the cursor is there again
        assert process.wait(TIMEOUT_S) == 130
        assert "Traceback" not in shown.text
    finally:
        process.kill()
        process.wait()
        os.close(near)


class Terminal:
    """What a program has written to a terminal."""

    def __init__(self, near: int) -> None:
        self.text = ""
        self._near = near

    def until(self, pattern: str, process: subprocess.Popen[bytes]) -> None:
        """Read until a pattern is there."""
        deadline = time.monotonic() + TIMEOUT_S
        while not re.search(pattern, self.text):
            assert time.monotonic() < deadline, f"not shown: {pattern}; {self.text[-2_000:]}"
            if not select.select([self._near], [], [], 0.1)[0]:
                assert process.poll() is None, self.text[-2_000:]
                continue
            try:
                self.text += os.read(self._near, 65_536).decode(errors="replace")
            except OSError:  # Linux says that a terminal has ended
                pytest.fail(f"it ended: {self.text[-2_000:]}")


def test_the_tail_ends_quietly_when_nobody_reads_on(kafka, topic, settings, tmp_path):
    made = stream()
    produce(kafka.bootstrap, topic, made.records * 20)
    with subprocess.Popen(
        command("tail", "quotes", "--from", "beginning"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=settings, cwd=tmp_path,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        json.loads(process.stdout.readline())
        process.stdout.close()
        errors = process.stderr.read().decode()
        assert process.wait(TIMEOUT_S) == 0, errors
    assert "Traceback" not in errors


def test_the_tail_without_its_topic_says_how_to_make_it(kafka, tapeflow):
    done = tapeflow(
        "tail", "quotes", "AAPL",
        settings={"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "TOPIC_PREFIX": "nowhere."},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == ""
    assert "nowhere.md.quotes.v1 does not exist" in done.stderr
    assert "tapeflow topics apply" in done.stderr


async def test_the_tail_without_a_broker(tapeflow):
    server = await asyncio.start_server(lambda _, w: w.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    done = await asyncio.to_thread(
        tapeflow, "tail", "quotes", settings={"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}"}
    )
    assert (done.returncode, done.stdout) == (4, "")
    assert "no broker answers" in done.stderr


def test_a_symbol_in_lower_case_is_told(tapeflow):
    done = tapeflow("tail", "quotes", "aapl")
    assert done.returncode == 2
    assert "'aapl' is no symbol" in done.stderr
