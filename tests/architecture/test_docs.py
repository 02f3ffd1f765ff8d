"""Documents made from code say what the code says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from telemetry import metrics

ROOT = Path(__file__).parents[2]

#: path of a document, and the function that makes it
DOCUMENTS: list[tuple[str, Callable[[], str]]] = [
    ("docs/reference/metrics.md", metrics.markdown),
]


@pytest.mark.parametrize(("path", "make"), DOCUMENTS, ids=[path for path, _ in DOCUMENTS])
def test_document_is_current(path: str, make: Callable[[], str]) -> None:
    document = ROOT / path
    written = document.read_text(encoding="utf-8") if document.exists() else ""
    assert written == make(), f"{path} is out of date: run `python -m tests.architecture.test_docs`"


if __name__ == "__main__":
    for path, make in DOCUMENTS:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(make(), encoding="utf-8")
