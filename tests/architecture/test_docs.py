"""Documents made from code say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.reference import documents

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
DOCUMENTS = documents()
#: made from a migrated database, and by `make conformance`
ELSEWHERE = {"tables.md", "conformance.md"}
#: written when a release is made and then never again: tests/unit/schemas/test_compatibility.py
FROZEN = "released/"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_current(name: str) -> None:
    path = REFERENCE / name
    written = path.read_text("utf-8") if path.exists() else ""
    assert written == DOCUMENTS[name], f"docs/reference/{name} has drifted: `make docs` writes it anew"


def test_nothing_lies_there_that_no_code_makes() -> None:
    there = {path.relative_to(REFERENCE).as_posix() for path in REFERENCE.rglob("*") if path.is_file()}
    assert {name for name in there if not name.startswith(FROZEN)} == DOCUMENTS.keys() | ELSEWHERE
