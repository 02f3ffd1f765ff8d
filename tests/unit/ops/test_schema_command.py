"""`tapeflow schema`: contracts frozen once, and files judged as the worker judges records."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from typing_extensions import override

from domain.clock import Clock
from ops import schema_check
from ops.cli import tapeflow
from ops.commands.schema import schema
from ops.schema_check import CHECKABLE, JUDGES, MAX_LINE_BYTES, SchemaCheck
from schemas.candle import Candle
from schemas.decode import examine
from schemas.decode_jobs import examine_job
from schemas.errors import Poison, Reason
from schemas.export import contracts, dump
from schemas.jobs import encode_job, fixture_backfill_job, fixture_bars_job, fixture_quotes_job
from schemas.topics import CANDLES, CONTROL, JOBS, TRADES
from tests.poison import HARMLESS, POISON, TS, a_clock, a_tick

GOOD = a_tick()
JOB_LINES = [encode_job(job()) for job in (fixture_bars_job, fixture_quotes_job, fixture_backfill_job)]
#: good records that candles do not take yet
AMENDMENTS = [s for s in POISON if s.reason is Reason.CORRECTION]
#: of the others a file has no line: no value at all, or ends of lines within
LINES = [
    s
    for s in POISON
    if s not in AMENDMENTS and s.value is not None and b"\n" not in s.value and not s.value.endswith(b"\r")
]

Check = Callable[..., Result]


class Noon(Clock):
    """When the specimens are received."""

    @override
    def now_ns(self) -> int:
        return TS

    @override
    def monotonic(self) -> float:
        return 0.0


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Write a file and run the command on it."""
    monkeypatch.setattr("ops.commands.schema.SystemClock", Noon)

    def check(content: bytes, *args: str) -> Result:
        path = tmp_path / "file.ndjson"
        path.write_bytes(content)
        return CliRunner().invoke(tapeflow, ["schema", "check", str(path), *args], standalone_mode=False)

    return check


def code(result: Result) -> int:
    """Return what the process ends with."""
    if result.exception:
        return int(getattr(result.exception, "exit_code", -1))
    return int(result.return_value or 0)


def report(result: Result) -> dict[str, Any]:
    return json.loads(result.stdout)  # type: ignore[no-any-return]


class TestVerdict:
    @pytest.mark.parametrize("specimen", LINES, ids=lambda s: s.name)
    def test_poison_is_told_with_the_reason_of_the_dead_letter(self, check, specimen):
        done = check(GOOD + b"\n" + specimen.value + b"\n", "--json", "--topic", TRADES.name)
        (problem,) = report(done)["problems"]
        if len(specimen.value) < MAX_LINE_BYTES:
            assert problem["reason"] == specimen.reason.value
        else:
            assert problem["reason"] == Reason.TOO_LARGE.value
        assert problem["line"] == 2
        assert code(done) == 5

    @pytest.mark.parametrize("harmless", HARMLESS, ids=lambda h: h.name)
    def test_what_the_worker_folds_is_good(self, check, harmless):
        done = check(harmless.value.replace(b"\n", b" ") + b"\n", "--topic", TRADES.name)
        assert (code(done), done.stdout) == (0, "")

    @pytest.mark.parametrize("amendment", AMENDMENTS, ids=lambda s: s.name)
    def test_what_candles_do_not_take_yet_is_no_fault_of_the_file(self, check, amendment):
        done = check(amendment.value + b"\n", "--topic", TRADES.name)
        assert (code(done), done.stdout) == (0, "")

    def test_the_words_are_those_of_the_decoders(self, check):
        wrong = a_tick(price=-1)
        poison = examine(wrong)
        assert isinstance(poison, Poison)
        assert check(GOOD + b"\n" + wrong).stdout == f"line 2: {poison.detail}\n"

        wrong = JOB_LINES[0].replace(b'"1m"', b'"2m"')
        refused = examine_job(wrong)
        assert isinstance(refused, Poison)
        assert check(b"\n".join([*JOB_LINES, wrong])).stdout == f"line 4: {refused.detail}\n"

    def test_topics_of_the_worker_have_its_decoders(self):
        assert {TRADES.models[0], JOBS.models[0]} <= JUDGES.keys()

    def test_what_comes_too_early_is_judged_by_the_clock(self, check):
        assert code(check(a_tick(ts_event=TS + 59_000_000_000))) == 0
        done = check(a_tick(ts_event=TS + 3_600_000_000_000))
        assert done.stdout.startswith("line 1: ts_event: 3600 s after")

    def test_a_correction_is_good_though_candles_do_not_take_it_yet(self, check):
        fields = {"symbol": "AAPL", "ts_event": TS, "provider": "polygon", "orig_price": 1.5, "orig_size": 1}
        cancel = json.dumps({"type": "cancel", **fields}).encode()
        poison = examine(cancel)
        assert isinstance(poison, Poison)
        assert poison.reason is Reason.CORRECTION
        done = check(cancel, "--topic", TRADES.name)
        assert (code(done), done.stdout) == (0, "")
        done = check(cancel.replace(b"AAPL", b"aapl"), "--topic", TRADES.name)
        assert done.stdout.startswith("line 1: symbol: ")

    def test_what_only_tapeflow_writes_is_judged_by_its_model(self, check):
        candle = {
            "symbol": "AAPL", "interval": "1m", "ts_event": TS, "open": 1.0, "high": 1.0, "low": 1.0,
            "close": 1.0, "volume": 1.0, "vwap": 1.0, "trade_count": 1, "provider": "a", "feed": "",
            "rule": "all_trades.v1", "revision": 0, "is_final": True,
        }  # fmt: skip
        assert candle.keys() == Candle.model_fields.keys()
        lines = [json.dumps(candle | change).encode() for change in ({}, {"more": 1}, {"trade_count": 0})]
        done = check(b"\n".join([*lines, b""]), "--topic", CANDLES.name)
        assert done.stdout.startswith("line 3: trade_count: ")
        assert len(done.stdout.splitlines()) == 1
        done = check(b"\n" + lines[0], "--topic", CANDLES.name, "--json")
        assert [p["reason"] for p in report(done)["problems"]] == ["empty"]

    def test_every_topic_with_values_can_be_asked_for(self, check):
        for name in CHECKABLE:
            done = check(b"{}", "--topic", name, "--json")
            assert (code(done), report(done)["topic"]) == (5, name)


class TestTopic:
    @pytest.mark.parametrize(
        ("line", "topic"),
        [(GOOD, TRADES.name), (a_tick(symbol="aapl", nonsense=1), TRADES.name)]
        + [(line, JOBS.name) for line in JOB_LINES],
    )
    def test_the_first_line_tells_it(self, check, line, topic):
        done = check(line, "--json")
        assert report(done)["topic"] == topic
        assert f"checked as values of {topic} (--topic says it)" in done.stderr

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (b"", "the file is empty"),
            (b"\n" + GOOD, "line 1 is no object with the fields of one topic"),
            (b"[1]", "line 1 is no object"),
            (b"{}", "line 1 is no object with the fields of one topic"),
            (b'{"provider_": 1}', "line 1 is no object with the fields of one topic"),
            (b'{"symbol": "AAPL"}', "line 1 is no object with the fields of one topic"),
            (b"[" * 100_000, "line 1 is no object"),
            (b"\xef\xbb\xbf" + GOOD, "the file begins with a byte order mark"),
            (GOOD.decode().encode("utf-16"), "the file is UTF-16"),
            (b"\x1f\x8b\x08\x00", "the file is compressed: zcat FILE | tapeflow schema check -"),
        ],
    )
    def test_what_cannot_be_told_is_asked_for(self, check, content, why):
        done = check(content)
        assert (code(done), done.stdout) == (2, "")
        assert why in str(done.exception)
        assert str(done.exception).endswith("; add --topic")

    def test_a_topic_without_values_of_its_own_cannot_be_asked_for(self, check):
        assert code(check(GOOD, "--topic", "md.dlq.v1")) == 2

    def test_tapeflows_own_topics_are_never_guessed(self, check):
        control = {"kind": "settings", "digest": "0" * 64, "document": {}, "changed": [], "actor": "a"}
        assert code(check(json.dumps(control).encode())) == 2
        assert CONTROL.name in CHECKABLE


class TestLines:
    def messages(self, done: Result) -> list[tuple[int, str, str]]:
        return [(p["line"], p["reason"], p["message"]) for p in report(done)["problems"]]

    @pytest.mark.parametrize("content", [GOOD, GOOD + b"\n", GOOD + b"\r\n", GOOD + b"\r\n" + a_clock()])
    def test_ends_of_lines_are_no_matter(self, check, content):
        done = check(content, "--json")
        assert (code(done), report(done)["lines"]) == (0, content.rstrip().count(b"\n") + 1)

    def test_an_empty_file_of_a_known_topic_is_good(self, check):
        done = check(b"", "--topic", TRADES.name)
        assert (code(done), done.stderr) == (0, "0 lines, 0 good, 0 bad\n")

    @pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\n\r\n"])
    def test_an_empty_line_is_an_empty_record(self, check, end):
        ((line, reason, message),) = self.messages(check(GOOD + end, "--json"))
        assert (line, reason) == (2, "empty")
        assert message.startswith("an empty line: ")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (
                b"\xef\xbb\xbf" + GOOD,
                "the file begins with a byte order mark: save it as UTF-8 without one",
            ),
            (b'{"symbol": "\xe9"}', "not UTF-8: byte 13 of the line is 0xe9"),
            (b"\x1f\x8b\x08\x00", "the file is compressed: zcat FILE | tapeflow schema check -"),
        ],
    )
    def test_what_is_no_utf8_is_told_by_how_it_came(self, check, content, message):
        done = check(content, "--json", "--topic", TRADES.name)
        assert self.messages(done)[0] == (1, "deserialize", message)

    def test_a_byte_order_mark_further_down_is_not_the_files(self, check):
        done = check(GOOD + b"\n\xef\xbb\xbf" + GOOD, "--json")
        ((line, _, message),) = self.messages(done)
        assert line == 2
        assert message.startswith("Invalid JSON")

    @pytest.mark.parametrize("more", [1, 2, 3 * MAX_LINE_BYTES])
    @pytest.mark.parametrize("end", [b"", b"\n", b"\n" + GOOD + b"\n"])
    def test_a_line_that_no_broker_takes_is_counted_and_passed_over(self, check, more, end):
        done = check(GOOD + b"\n" + b" " * (MAX_LINE_BYTES - 1 + more) + end, "--json")
        problems = self.messages(done)
        size = MAX_LINE_BYTES - 1 + more + end.startswith(b"\n")
        if size > MAX_LINE_BYTES:
            assert problems == [
                (2, "too_large", f"{size} bytes in a line: the broker takes no such record"),
            ]
        else:
            assert problems[0][:2] == (2, "too_large"), "the decoder's own limit"
        assert report(done)["lines"] == 2 + end.count(b"\n") // 2

    def test_nothing_of_the_payload_reaches_a_terminal(self, check):
        done = check(GOOD + b'\n{"symbol":"AAPL","\x1b[2Jsecret":1}\n' + b'{"\\u001b[2J": 1}\n')
        assert "\x1b" not in done.stdout
        assert "secret" not in done.stdout

    def test_one_line_at_a_time_is_held(self):
        """A file longer than memory: what was judged is gone before more is read."""

        class Endless(io.RawIOBase):
            asked = 0

            @override
            def readline(self, size: int | None = -1) -> bytes:
                Endless.asked += 1
                return GOOD + b"\n"

        work = SchemaCheck(Endless(), Noon())  # type: ignore[arg-type]
        problems = work.problems()
        for _ in range(3):
            assert next(problems) is None
        assert (work.lines, Endless.asked) == (3, 3)


class TestReport:
    BAD = b"\n".join([GOOD, a_tick(price=-1), b"{", GOOD, a_tick(symbol="aapl"), b""])

    def test_lines_are_data_and_the_rest_is_not(self, check):
        done = check(self.BAD)
        assert [line.split(": ")[:2] for line in done.stdout.splitlines()] == [
            ["line 2", "price"],
            ["line 3", "value"],
            ["line 5", "symbol"],
        ]
        assert done.stderr.splitlines()[-1] == "5 lines, 2 good, 3 bad"
        assert str(done.exception) == "3 of 5 lines are no values of md.trades.v1"
        assert code(done) == 5

    def test_json_is_one_object(self, check):
        done = check(self.BAD, "--json")
        said = report(done)
        assert {k: v for k, v in said.items() if k != "problems"} == {
            "schema_version": 1, "topic": "md.trades.v1", "lines": 5, "good": 2, "bad": 3,
        }  # fmt: skip
        assert [p["field"] for p in said["problems"]] == ["price", "value", "symbol"]
        assert said["problems"][0].keys() == {"line", "reason", "field", "message"}
        assert report(check(GOOD, "--json"))["problems"] == []

    def test_stdin_is_read_as_it_comes(self):
        """The verdict on a line does not wait for the next one."""
        command = [sys.executable, "-m", "ops.cli", "schema", "check", "-", "--topic", TRADES.name]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(GOOD + b"\n{\n" + GOOD + b"\n")
            process.stdin.flush()
            assert process.stdout.readline().startswith(b"line 2: value: ")
            process.stdin.close()
            assert process.wait(60) == 5

    def test_a_reader_that_has_seen_enough_ends_it_quietly(self, tmp_path):
        path = tmp_path / "bad.ndjson"
        path.write_bytes((a_tick(price=-1) + b"\n") * 20_000)
        command = [sys.executable, "-m", "ops.cli", "schema", "check", str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline().startswith(b"line 1: ")
            process.stdout.close()
            assert process.wait(60) == 5
            assert process.stderr.read().decode().splitlines() == [
                "checked as values of md.trades.v1 (--topic says it)"
            ]

    def test_a_terminal_sees_a_bar_and_a_file_the_same_bytes(self, tmp_path):
        """The bar takes over stdout only where both are the terminal."""
        path = tmp_path / "bad.ndjson"
        path.write_bytes((a_tick(price=-1) + b"\n") * 2_000)
        leader, follower = os.openpty()
        command = [sys.executable, "-m", "ops.cli", "schema", "check", str(path)]
        environment = os.environ | {"TERM": "xterm", "COLUMNS": "200"}
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=follower, env=environment, check=False, timeout=60
        )
        os.close(follower)
        shown = os.read(leader, 65_536)
        os.close(leader)
        assert b" bad" in shown
        assert b"price" not in shown
        assert len(done.stdout.splitlines()) == 2_000
        assert b"\x1b" not in done.stdout
        assert done.returncode == 5


class TestFreeze:
    def freeze(self, folder: Path, version: str) -> Result:
        return CliRunner().invoke(schema, ["freeze", version, "--out", str(folder)])

    def test_copies_every_contract(self, tmp_path):
        done = self.freeze(tmp_path, "1.2.3")
        assert done.exit_code == 0, done.output
        folder = tmp_path / "released" / "1.2.3"
        frozen = {path.stem: path.read_text() for path in folder.iterdir()}
        assert frozen == {name: dump(contract.schema) for name, contract in contracts().items()}
        assert set(done.stdout.split()) == {str(path) for path in folder.iterdir()}

    def test_a_release_is_frozen_once(self, tmp_path):
        assert self.freeze(tmp_path, "1.2.3").exit_code == 0
        path = tmp_path / "released" / "1.2.3" / "md.trades.v1.json"
        path.write_text("as it was")
        assert self.freeze(tmp_path, "1.2.3").exit_code == 2
        assert path.read_text() == "as it was"

    @pytest.mark.parametrize("version", ["1.2", "v1.2.3", "1.2.3.4", "../1.2.3", "1.2.3\n", ""])
    def test_a_version_has_three_numbers(self, tmp_path, version):
        assert self.freeze(tmp_path, version).exit_code == 2
        assert list(tmp_path.iterdir()) == []


def test_the_limit_of_a_line_is_that_of_the_topics():
    """What the reader of the file does not keep could not be sent either."""
    overhead = 61 + 7
    for spec in schema_check.CHECKABLE.values():
        assert spec.max_message_bytes <= MAX_LINE_BYTES + overhead
