"""Where the answers lie that others recorded: they are read there and are no part of this project."""

from __future__ import annotations

from pathlib import Path

from tests.absent import absent

VENDORS = Path(__file__).parents[4] / "shared" / "vendor"


def recorded(vendor: str) -> Path:
    """Return the folder of a vendor's recordings; in CI it must be there."""
    folder = VENDORS / vendor / "recorded"
    if not folder.is_dir():
        absent(f"no recordings: {folder}")
    return folder


def files(folder: Path) -> set[str]:
    """Return every recording below a folder, by its path there."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
