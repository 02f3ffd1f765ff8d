"""Every cell of the matrix, and the page that shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.matrix import CLIENTS, NO_SUCH_THING, ROWS, Cell, markdown
from tests.conformance.world import World

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "conformance.md"
CELLS = [(vendor, row, cell) for vendor, (_, cells) in CLIENTS.items() for row, cell in cells.items()]


@pytest.mark.parametrize(("vendor", "row", "cell"), CELLS, ids=[f"{v}: {r}" for v, r, _ in CELLS])
def test_cell(world: World, vendor: str, row: str, cell: Cell) -> None:
    cell(world)


def test_no_cell_is_left_out() -> None:
    held = {(vendor, row) for vendor, row, _ in CELLS}
    assert held.isdisjoint(NO_SUCH_THING)
    assert held | NO_SUCH_THING.keys() == {(vendor, row) for vendor in CLIENTS for row in ROWS}


def test_the_page_is_current(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--write"):
        PAGE.write_text(markdown())
    assert PAGE.read_text() == markdown(), "run make conformance WRITE=--write"
