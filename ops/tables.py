"""Tables of commands: with rich on a terminal, in columns of plain text elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows on stdout under the names of their columns; nothing if there are none.

    Cells are data: no markup in them is obeyed, and what does not print is replaced.
    """
    if not rows:
        return
    cells = [[_printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        table = Table(*columns)
        for row in cells:
            table.add_row(*map(Text, row))
        Console().print(table)
        return
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for line in ([*columns], *cells):
        click.echo("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip())


def _printable(cell: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in cell)
