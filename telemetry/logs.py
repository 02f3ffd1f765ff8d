"""One way for every log record, ours and the libraries': masked, rate-limited, JSON lines or a console."""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

import structlog
from structlog.stdlib import ProcessorFormatter

from telemetry.redaction import Redaction

Format = Literal["auto", "console", "json"]
Event = MutableMapping[str, Any]

_FIRST = ("ts", "level", "event", "logger", "worker")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def configure(
    level: str,
    format: Format,
    worker_id: str,
    secrets: Iterable[str] = (),
    *,
    terminal: bool = False,
) -> dict[str, Any]:
    """Return a ``logging.config.dictConfig`` that sends every record to stderr.

    Nothing changes before the dictionary is applied (``faust.Worker`` takes it as ``logging_config``);
    applying it also points structlog at the standard library.

    Args:
        level: least level that is written.
        format: ``json`` is one object a line, ``console`` is for people, ``auto`` decides by ``terminal``.
        worker_id: field ``worker`` of every line.
        secrets: values never to be written; of a URL its password is one.
        terminal: whether stderr is a terminal.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": "telemetry.logs.formatter",
                "console": format == "console" or (format == "auto" and terminal),
                "colors": terminal,
                "worker_id": worker_id,
                "redaction": Redaction(secrets),
            }
        },
        "handlers": {
            "stderr": {
                "()": "telemetry.repeats.RepeatHandler",
                "stream": "ext://sys.stderr",
                "formatter": "line",
            }
        },
        "root": {"level": level, "handlers": ["stderr"]},
    }


@contextmanager
def silenced(name: str) -> Iterator[None]:
    """Keep a library's logger quiet, for a command that says in one sentence what is wrong."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def formatter(*, console: bool, colors: bool, worker_id: str, redaction: Redaction) -> logging.Formatter:
    """Build the formatter that the configuration names, and send structlog's own loggers its way."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    describe = _Describe(worker_id, redaction)
    render: Sequence[structlog.typing.Processor] = (
        [describe, _printable, structlog.dev.ConsoleRenderer(colors=colors, timestamp_key="ts")]
        if console
        else [describe, _json]
    )
    return ProcessorFormatter(
        processors=render,
        foreign_pre_chain=[structlog.contextvars.merge_contextvars, structlog.stdlib.ExtraAdder()],
    )


class _Describe:
    """Turns a record into the fields of a line, in a fixed order and masked."""

    def __init__(self, worker_id: str, redaction: Redaction) -> None:
        self._worker_id = worker_id
        self._redaction = redaction

    def __call__(self, _logger: object, _method: str, event: Event) -> Event:
        """Return the fields of one line."""
        record: logging.LogRecord = event.pop("_record")
        event.pop("_from_structlog")
        error = event.pop("exc_info", None)
        stack = event.pop("stack_info", None)
        ts = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        fields: Event = {
            "ts": ts.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": event.pop("event", ""),
            "logger": record.name,
            "worker": self._worker_id,
        }
        # a field cannot pass itself off as one of ours
        fields.update({f"{k}_" if k in _FIRST else k: v for k, v in event.items()})
        if stack:
            fields["stack"] = stack
        fields.update(_error(error))
        return dict(self._redaction.mapping(fields))


def _error(error: object) -> dict[str, str]:
    """Return type, message and stack of an exception as fields."""
    if error is True:  # structlog's way to say: the one being handled
        error = sys.exc_info()
    exc = error[1] if isinstance(error, tuple) else error
    if not isinstance(exc, BaseException):
        return {}
    return {
        "err.type": type(exc).__qualname__,
        "err.msg": str(exc),
        "err.stack": "".join(traceback.format_exception(exc)).rstrip(),
    }


def _printable(_logger: object, _method: str, event: Event) -> Event:
    """Show control characters instead of obeying them: a terminal would."""
    return {
        k: _CONTROL.sub(lambda m: repr(m[0])[1:-1], v) if isinstance(v, str) else v for k, v in event.items()
    }


def _json(_logger: object, _method: str, event: Event) -> str:
    line = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    return line.encode("utf-8", "backslashreplace").decode()  # a lone surrogate becomes its JSON escape
