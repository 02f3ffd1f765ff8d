"""A stretch of time as an option of a command: ``90s``, ``15m``, ``2h``, ``1d``."""

from __future__ import annotations

import re
from typing import Any

import click
from typing_extensions import override

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
#: no topic keeps more
MOST_S = 31 * 86_400
_FORM = re.compile(r"([0-9]{1,9})([smhd])")


class Span(click.ParamType):
    """Converts to seconds."""

    name = "span"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        if isinstance(value, float):
            return value
        found = _FORM.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is no span: write 90s, 15m, 2h or 1d", param, ctx)
        seconds = int(found[1]) * SECONDS[found[2]]
        if not 0 < seconds <= MOST_S:
            self.fail(f"{value!r} is not between a second and {MOST_S // 86_400} days", param, ctx)
        return float(seconds)
