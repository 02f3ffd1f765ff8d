"""What ``tapeflow config check --against`` tells people."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from domain.health import SECOND_NS
from domain.shadow import Difference
from ops.shadow_check import ShadowCheck
from ops.tables import show_table

COLUMNS = ("from", "to", "kind", "first now", "first then", "why")


def show_shadow(found: ShadowCheck) -> None:
    """Print the differences on stdout, and what they are differences of on stderr."""
    against = f"version {found.in_force}" if found.in_force else "the files here: no reload so far"
    _say(f"compared with {against}; {_changes(found)}")
    if found.left_out:
        _say(f"no key here and never asked, so left out: {', '.join(found.left_out)}")
    if not found.outcomes:
        _say(f"no outcomes since {_time(found.since_ns)}: nobody was asked, so nothing can be compared")
        return
    stretch = f"{_time(found.since_ns)} to {_time(found.until_ns)}, {found.outcomes:,} outcomes"
    if not found.differences:
        _say(f"{stretch}: every decision would have been the same")
        return
    _say(f"{stretch}: {len(found.differences)} differences")
    show_table(COLUMNS, [_row(d) for d in found.differences])


def _changes(found: ShadowCheck) -> str:
    if not found.changed:
        return "no live setting differs"
    return f"different: {', '.join(name.upper() for name in found.changed)}"


def _row(d: Difference) -> tuple[str, ...]:
    return _time(d.from_ns), _time(d.to_ns), d.kind, d.now_first or "nobody", d.new_first or "nobody", d.why


def _time(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // SECOND_NS, UTC):%Y-%m-%d %H:%M:%S}Z"


def _say(line: str) -> None:
    click.echo(line, err=True)
