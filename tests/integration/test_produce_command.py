"""`tapeflow produce` against a real broker: what lands on the topic, and what is told of the rest."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka.partitioner import DefaultPartitioner

from domain.clock import SystemClock
from ops import tick_sender
from schemas.errors import DependencyAway
from schemas.topics import TRADES
from schemas.trade import Trade
from streams import topics
from tests.integration import records
from tests.integration.conftest import command

pytestmark = pytest.mark.integration

PARTITIONS = 4
CSV = """\
when,pair,px,qty,side
1762795433.123456789,XBT/USDT,101000.5,0.25,b
1762795433.5,ETH/USDT,3500.25,1.5,s
1762795434,XBT/USDT,101001,0.000000001,b
"""
MAPPING = [
    *("--map", "ts_event=when", "--map", "symbol=pair", "--map", "price=px", "--map", "size=qty"),
    *("--set", "provider=kraken"),
]


@pytest.fixture
async def topic(kafka: Any, topic_prefix: str) -> str:
    await topics.apply(kafka.bootstrap, prefix=topic_prefix, partitions=PARTITIONS)
    return topic_prefix + TRADES.name


@pytest.fixture
def settings(kafka: Any, topic: str) -> dict[str, str]:
    return {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "TOPIC_PREFIX": topic.removesuffix(TRADES.name)}


@pytest.fixture
def landed(kafka: Any, topic: str) -> Any:
    """Return the values that are on the topic."""

    def landed() -> list[dict[str, Any]]:
        return [json.loads(m.value() or b"") for m in records.read(kafka.bootstrap, topic)]

    return landed


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "trades.csv"
    path.write_text(CSV)
    return path


def line(n: int, symbol: str = "AAPL", **changes: Any) -> str:
    trade = {"symbol": symbol, "ts_event": 1762795433000000000 + n, "price": 10.5, "size": 1, "provider": "a"}
    return json.dumps(trade | changes)


def test_a_mapped_csv_lands_with_key_partition_headers_and_exact_values(
    tapeflow, settings, kafka, topic, csv
):
    done = tapeflow("produce", str(csv), *MAPPING, settings=settings)
    assert done.returncode == 0
    assert done.stdout.startswith("3 rows, 3 sent, 0 bad, ")
    assert "ts_event is read as s (guessed; --time-unit says it)" in done.stderr
    assert "ignored columns: side" in done.stderr

    messages = records.read(kafka.bootstrap, topic)
    found = {json.loads(m.value() or b"")["ts_event"]: m for m in messages}
    assert {ts: json.loads(m.value() or b"") for ts, m in found.items()} == {
        1762795433123456789: {
            "ts_event": 1762795433123456789,
            "symbol": "XBT/USDT",
            "price": 101000.5,
            "size": 0.25,
            "provider": "kraken",
        },
        1762795433500000000: {
            "ts_event": 1762795433500000000,
            "symbol": "ETH/USDT",
            "price": 3500.25,
            "size": 1.5,
            "provider": "kraken",
        },
        1762795434000000000: {
            "ts_event": 1762795434000000000,
            "symbol": "XBT/USDT",
            "price": 101001.0,
            "size": 1e-9,
            "provider": "kraken",
        },
    }
    partitions = list(range(PARTITIONS))
    for message in messages:
        key = message.key()
        assert isinstance(key, bytes)
        assert key.decode() == json.loads(message.value() or b"")["symbol"]
        assert message.partition() == DefaultPartitioner()(key, partitions, partitions)
        assert dict(message.headers() or []) == {
            "content-type": b"application/json",
            "schema": b"trade-tick.v1",
        }


def test_ndjson_from_stdin_keeps_the_order_of_each_symbol(tapeflow, settings, landed):
    rows = [line(n, symbol) for n in range(3_000) for symbol in ("AAPL", "MSFT")]
    done = tapeflow("produce", "-", "--format", "ndjson", "--json", settings=settings, stdin="\n".join(rows))
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert (report["schema_version"], report["rows"], report["sent"], report["bad"]) == (1, 6_000, 6_000, 0)
    assert (report["dry_run"], report["interrupted"], report["clocks"]) == (False, False, 0)
    for symbol in ("AAPL", "MSFT"):
        times = [trade["ts_event"] for trade in landed() if trade["symbol"] == symbol]
        assert times == [1762795433000000000 + n for n in range(3_000)]


def test_bad_rows_are_told_with_their_lines_and_the_rest_is_sent(tapeflow, settings, landed):
    rows = [line(0), line(1, price=-1), "", "{not json", line(3, "aapl"), line(4)]
    done = tapeflow("produce", "-", "--format", "ndjson", settings=settings, stdin="\n".join(rows))
    assert done.returncode == 5
    told = [text for text in done.stderr.splitlines() if text.startswith("line ")]
    assert [text.partition(":")[0] for text in told] == ["line 2", "line 4", "line 5"]
    assert "price" in told[0]
    assert "symbol" in told[2]
    assert done.stderr.endswith("tapeflow: 3 of 5 rows are bad and were not sent\n")
    assert [trade["ts_event"] for trade in landed()] == [1762795433000000000, 1762795433000000004]


def test_lines_of_a_csv_are_those_an_editor_shows(tapeflow, settings, tmp_path):
    path = tmp_path / "trades.csv"
    path.write_text(
        "symbol,ts_event,price,size,provider,venue\n"
        "AAPL,1762795433000000000,10,1,a,X\n"
        '\nAAPL,1762795433000000000,10,1,a,"X\nY"\nAAPL,1762795433000000000,ten,1,a,X\nshort\n'
    )
    done = tapeflow("produce", str(path), "--dry-run", settings=settings)
    assert done.returncode == 5
    told = [text for text in done.stderr.splitlines() if text.startswith("line ")]
    assert [text.partition(":")[0] for text in told] == ["line 5", "line 6", "line 7"]
    assert told[2].endswith("1 cells, the header has 6")


def test_a_dry_run_needs_no_broker_and_sends_nothing(tapeflow, settings, landed, csv):
    nowhere = settings | {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    done = tapeflow("produce", str(csv), *MAPPING, "--dry-run", "--json", settings=nowhere)
    assert done.returncode == 0
    report = json.loads(done.stdout)
    assert (report["rows"], report["sent"], report["dry_run"]) == (3, 0, True)
    assert report["time_units"] == {"ts_event": "s"}
    assert landed() == []


def test_limit_reads_so_many_rows(tapeflow, settings, landed):
    rows = "\n".join(line(n) for n in range(50))
    done = tapeflow("produce", "-", "--format", "ndjson", "--limit", "7", settings=settings, stdin=rows)
    assert done.stdout.startswith("7 rows, 7 sent")
    assert len(landed()) == 7


def test_a_clock_record_closes_every_partition(tapeflow, settings, kafka, topic):
    rows = "\n".join(line(n) for n in range(3))
    done = tapeflow("produce", "-", "--format", "ndjson", "--clock", settings=settings, stdin=rows)
    assert done.returncode == 0
    messages = records.read(kafka.bootstrap, topic)
    last = {m.partition(): json.loads(m.value() or b"") for m in messages}
    clock = {"type": "clock", "ts_event": 1762795433000000002, "provider": "a", "feed": ""}
    assert last == dict.fromkeys(range(PARTITIONS), clock)
    headers = {m.partition(): dict(m.headers() or []) for m in messages}
    assert {h["schema"] for h in headers.values()} == {b"clock-tick.v1"}


def test_a_rate_is_kept(tapeflow, settings, landed):
    rows = "\n".join(line(n) for n in range(60))
    begun = time.monotonic()
    done = tapeflow(
        "produce", "-", "--format", "ndjson", "--rate", "50", "--json", settings=settings, stdin=rows
    )
    assert 1.1 <= json.loads(done.stdout)["seconds"] <= time.monotonic() - begun
    assert len(landed()) == 60


def test_rows_of_a_pipe_are_sent_before_the_pipe_ends(plain_environment, settings, landed, tmp_path):
    with subprocess.Popen(
        command("produce", "-", "--format", "ndjson"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=plain_environment | settings,
        cwd=tmp_path,
        text=True,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(line(0) + "\n")
        process.stdin.flush()
        deadline = time.monotonic() + 30
        while not landed():
            assert time.monotonic() < deadline, "a row waits for more rows"
        process.stdin.write(line(1) + "\n")
        out, _ = process.communicate(timeout=30)
    assert out.startswith("2 rows, 2 sent")
    assert process.returncode == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_ends_it_with_everything_sent_counted(
    plain_environment, settings, landed, tmp_path, number, code
):
    path = tmp_path / "many.ndjson"
    path.write_text("".join(line(n) + "\n" for n in range(5_000)))
    with subprocess.Popen(
        command("produce", str(path), "--rate", "100", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=plain_environment | settings,
        cwd=tmp_path,
        text=True,
    ) as process:
        deadline = time.monotonic() + 30
        while not landed():
            assert time.monotonic() < deadline
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    report = json.loads(out)
    assert process.returncode == code
    assert report["interrupted"] is True
    assert 0 < report["sent"] < 5_000
    assert report["sent"] == len(landed())
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--map", "ts_event=when", "--map", "nonsense=pair"], "'nonsense' is no field of a trade"),
        (
            [*MAPPING, "--map", "venue=place"],
            "--map venue=place: there is no such column; there are when",
        ),
        (["--map", "ts_event=when"], "nothing gives symbol: --map symbol=COLUMN or --set symbol=VALUE"),
        ([*MAPPING, "--map", "provider=pair"], "provider is given by --map and by --set"),
        ([*MAPPING, "--set", "tape=ABC"], "--set tape"),
        ([*MAPPING, "--set", "venue"], "--set venue: write --set field=value"),
        ([*MAPPING, "--rate", "0"], "--rate"),
        ([*MAPPING, "--time-unit", "minutes"], "--time-unit"),
    ],
)
def test_what_cannot_be_meant_is_exit_2_before_anything_is_sent(tapeflow, settings, landed, csv, args, words):
    done = tapeflow("produce", str(csv), *args, settings=settings)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert landed() == []


def test_the_format_of_an_unknown_suffix_must_be_said(tapeflow, settings, tmp_path):
    (tmp_path / "trades.txt").write_text(CSV)
    done = tapeflow("produce", "trades.txt", *MAPPING, settings=settings)
    assert done.returncode == 2
    assert "cannot tell the format of trades.txt" in done.stderr
    assert tapeflow("produce", "absent.csv", settings=settings).returncode == 2


def test_no_broker_is_exit_4_in_one_line(tapeflow, settings, csv):
    done = tapeflow("produce", str(csv), *MAPPING, "--bootstrap-servers", "127.0.0.1:1", settings=settings)
    assert (done.returncode, done.stdout) == (4, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("tapeflow: no broker answers at 127.0.0.1:1")


def test_no_such_topic_is_told_at_once(tapeflow, settings, csv):
    begun = time.monotonic()
    done = tapeflow("produce", str(csv), *MAPPING, "--topic", "absent.v1", settings=settings)
    assert done.returncode == 1
    assert "there is no topic absent.v1" in done.stderr
    assert time.monotonic() - begun < 20
    assert os.linesep not in done.stdout


async def test_a_broker_that_goes_away_is_given_up_in_time(kafka, topic, monkeypatch):
    monkeypatch.setattr(tick_sender, "DELIVERY_MS", 4_000)
    trade = Trade("AAPL", 1762795433000000000, 10.5, 1.0, "a")
    value = msgspec.json.encode(trade)
    async with tick_sender.TickSender(kafka.bootstrap, topic, SystemClock()) as sender:
        await sender.send([trade], [value])
        await sender.finish()
        kafka.kill()
        try:
            await sender.send([trade], [value])
            with pytest.raises(DependencyAway, match="; 1 trades acknowledged"):
                async with asyncio.timeout(20):
                    await sender.finish()
            async with asyncio.timeout(10):
                await sender.__aexit__(None, None, None)
        finally:
            kafka.start()
    assert [m.value() for m in records.read(kafka.bootstrap, topic)] == [value]
