"""The way of a log record."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import re

import pytest
import structlog

from telemetry.logs import configure
from telemetry.redaction import MASK, MAX_CHARS, Redaction
from telemetry.repeats import MAX_KEYS, RepeatHandler, Repeats

URL = "postgresql://writer:p%40ss/w0rd@db.example:5432/market"
TOKEN = "op-token-77"


@pytest.fixture
def lines():
    """Apply a configuration to a stream of our own; afterwards everything is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()

    def apply(format="json", level="INFO", secrets=(URL, TOKEN), **options):
        config = configure(level, format, "worker-1", secrets, **options)
        config["handlers"]["stderr"]["stream"] = stream
        logging.config.dictConfig(config)
        return lambda: (
            [json.loads(line) for line in stream.getvalue().splitlines()]
            if format == "json"
            else stream.getvalue()
        )

    yield apply
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_configuring_is_pure():
    before = (logging.getLogger().handlers[:], structlog.is_configured())
    assert configure("INFO", "json", "w")["root"] == {"level": "INFO", "handlers": ["stderr"]}
    assert (logging.getLogger().handlers[:], structlog.is_configured()) == before


def test_a_record_of_a_library(lines):
    read = lines()
    logging.getLogger("aiokafka.client").warning("Unable connect to %s: %r", "node 1", OSError("refused"))
    (line,) = read()
    assert list(line) == ["ts", "level", "event", "logger", "worker"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["ts"])
    assert line["event"] == "Unable connect to node 1: OSError('refused')"
    assert (line["level"], line["logger"], line["worker"]) == ("warning", "aiokafka.client", "worker-1")


def test_fields_of_both_kinds_of_logger(lines):
    read = lines()
    logging.getLogger("ours").info("stored", extra={"rows": 3})
    structlog.get_logger("ours.too").bind(partition=4).info("stored %d", 5, rows=float("nan"), level="fake")
    plain, bound = read()
    assert plain["rows"] == 3
    assert (bound["event"], bound["partition"], bound["rows"]) == ("stored 5", 4, "nan")
    assert (bound["logger"], bound["level"], bound["level_"]) == ("ours.too", "info", "fake")


def test_an_exception_is_fields(lines):
    read = lines()
    try:
        raise LookupError("no such\nthing")
    except LookupError:
        logging.getLogger("x").exception("failed")
        structlog.get_logger("y").exception("failed too")
    for line in read():
        assert (line["err.type"], line["err.msg"]) == ("LookupError", "no such\nthing")
        assert line["err.stack"].startswith("Traceback")
        assert "exc_info" not in line


def test_secrets_never_get_out(lines):
    read = lines()
    log = logging.getLogger("x")
    log.error("cannot reach %s with %s", URL, TOKEN)
    log.error("conninfo host=db password='p@ss/w0rd' user=writer")
    log.error("headers %s", {"Authorization": f"Bearer {TOKEN}", "X": "y"})
    log.error(
        "nested",
        extra={"config": {"database_url": "anything", "ops_token": "abc", "deep": [{"api_key": "k1"}]}},
    )
    log.error("another", extra={"detail": "mysql://u:topsecret@h/db", "sasl.password": "s"})
    try:
        raise ValueError(f"bad {URL}")
    except ValueError:
        log.exception("failed")
    text = json.dumps(read())
    for secret in ("p%40ss", "p@ss", "w0rd", TOKEN, "topsecret", "anything", "abc", "k1"):
        assert secret not in text, secret
    assert MASK in text
    assert "db.example:5432" in text, "what is not secret stays"
    assert read()[4]["sasl.password"] == MASK


def test_what_only_looks_like_a_secret_stays():
    redaction = Redaction(["postgresql://postgres@127.0.0.1:5432/market", "", "abc"])
    sentence = "postgresql://postgres@127.0.0.1:5432/market abc tokens_total 5, passed: 7"
    assert redaction.text(sentence) == sentence
    fields = {"partition": 3, "compass": "n", "key": "BTCUSDT", "token": ""}
    assert redaction.mapping(fields) == fields


def test_long_and_strange_values(lines):
    read = lines()
    logging.getLogger("x").error("x" * (MAX_CHARS + 10), extra={"raw": b"\xff\x00", "odd": "\ud800\n\x1b[2J"})
    (line,) = read()
    assert line["event"].endswith("… (10 more)")
    assert line["raw"] == repr(b"\xff\x00")
    assert line["odd"] == "\ud800\n\x1b[2J"


def test_a_console_shows_control_characters_instead_of_obeying(lines):
    read = lines(format="auto", terminal=True)
    logging.getLogger("x").error("evil \x1b[2J %s", "\x9b31m\r")
    text = read()
    assert "\\x1b[2J" in text
    assert "\x1b[2J" not in text
    assert "\x9b" not in text
    assert "\r" not in text


def test_auto_is_json_without_a_terminal(lines):
    read = lines(format="auto", terminal=False)
    logging.getLogger("x").error("hello")
    assert json.loads(read())["event"] == "hello"


def test_level(lines):
    read = lines(level="WARNING")
    logging.getLogger("x").info("no")
    structlog.get_logger("x").info("no")
    structlog.get_logger("x").warning("yes")
    assert [line["event"] for line in read()] == ["yes"]


def test_repeats_are_counted_and_told(lines):
    read = lines()
    now = [0.0]
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, RepeatHandler)
    handler._clock = lambda: now[0]
    storm = logging.getLogger("aiokafka.conn")
    for n in range(1_000):
        storm.error("no route to %d", n)
    assert len(read()) == 5
    now[0] = 9.9
    logging.getLogger("other").info("no route to %d", 1)
    assert len(read()) == 6, "another logger is another message"
    now[0] = 10.1
    logging.getLogger("other").info("calm")
    summary = read()[6]
    assert (summary["event"], summary["suppressed"], summary["level"]) == ("no route to %d", 995, "error")
    storm.error("no route to %d", 0)
    assert len(read()) == 9, "a new window"
    for _ in range(7):
        structlog.get_logger("s").warning("again", n=1)
    handler.close()
    assert read()[-1]["suppressed"] == 2


def test_repeats_remember_a_bounded_number_of_messages():
    repeats = Repeats(allowed=1)
    told: list[object] = []
    for n in range(3 * MAX_KEYS):
        told += repeats.ended(1.0)
        repeats.admit(("x", str(n)), logging.INFO, 1.0)
        repeats.admit(("x", str(n)), logging.INFO, 1.0)
    assert len(repeats._windows) <= MAX_KEYS + 1
    assert len(told) >= 2 * MAX_KEYS - 1, "what is forgotten is told before"
