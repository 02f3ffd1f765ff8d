"""What a machine may lack: tests are skipped for it, but in CI nothing may be missing."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def absent(what: object) -> NoReturn:
    """End the test: skipped, or failed where ``CI`` is set."""
    if os.environ.get("CI"):
        pytest.fail(str(what))
    pytest.skip(str(what))
