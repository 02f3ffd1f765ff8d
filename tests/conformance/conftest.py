"""One emulator for the whole suite, and the page that it writes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.world import World


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes the matrix."""
    parser.addoption("--write", action="store_true", help="write docs/reference/conformance.md anew")


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """A market on a Friday morning."""
    with World() as one:
        yield one
