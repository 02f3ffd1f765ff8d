from __future__ import annotations

from pathlib import Path

import pytest

from migrations.reference import tables_markdown
from migrations.runner import migrate_up

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "tables.md"


@pytest.mark.integration
def test_the_reference_of_the_tables_has_not_drifted(database: str):
    migrate_up(database)
    assert PAGE.read_text() == tables_markdown(database), (
        "run python -m migrations.reference URL > docs/reference/tables.md"
    )
