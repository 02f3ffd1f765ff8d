"""Programs that are fetched once and shared by all checkouts."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from sandbox.account import Account
from sandbox.lock import locked
from sandbox.readiness import Say
from schemas.errors import DependencyAway

#: for root, whose own cache folder is closed to the account that a server runs as
SYSTEM_CACHE = Path("/var/cache")


def cache_folder(account: Account | None = None) -> Path:
    """Return the folder of programs, made if it was missing; open to the account.

    Raises:
        DependencyAway: there is none.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    own = Path(named) if named.startswith("/") else Path("~/.cache").expanduser()
    for base in (own, SYSTEM_CACHE) if account else (own,):
        if account and not account.may_pass(base):
            continue
        folder = base / "tapeflow"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if account is None or account.may_pass(folder):
            return folder
    whom = f" and open to {account.name}, whom the database server runs as" if account else ""
    raise DependencyAway(f"no cache folder is writable{whom}: set XDG_CACHE_HOME to one that is")


def is_cached(name: str, account: Account | None = None) -> bool:
    """Whether a program is there already."""
    return (cache_folder(account) / name).is_dir()


def cached(name: str, build: Callable[[Path], None], say: Say, account: Account | None = None) -> Path:
    """Return the folder of a program; build it if it is missing.

    It is built beside its place and renamed when it is whole: an interrupted build leaves nothing, and
    of two processes at once one builds while the other waits.

    Args:
        name: of the folder, versions included.
        build: fills an empty folder.
        say: is told of waiting.
        account: must be able to reach the folder.

    Raises:
        DependencyAway: there is no cache folder, or as the build says.
    """
    root = cache_folder(account)
    place = root / name
    if place.is_dir():
        return place
    with locked(root / f"{name}.lock", say, f"another process is fetching {name}: waiting for it"):
        if place.is_dir():
            return place
        for left in root.glob(f".{name}.*"):
            shutil.rmtree(left)
        new = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=root))
        try:
            new.chmod(0o755)
            build(new)
            new.rename(place)
        except BaseException:  # Ctrl-C too: half a build is removed, and it goes on upwards
            shutil.rmtree(new, ignore_errors=True)
            raise
    return place
