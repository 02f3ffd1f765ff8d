"""The files the page needs, named by their content so that a browser may keep them for ever."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import NamedTuple

_FILES = {
    "status.css": "text/css",
    "icon.svg": "image/svg+xml",
    "htmx-2.0.11.min.js": "text/javascript",
}


class Asset(NamedTuple):
    """One file, as it goes over the wire."""

    path: str
    body: bytes
    content_type: str


@cache
def assets() -> dict[str, Asset]:
    """Return the files by their name in ``ops/static``."""
    found = {}
    for name, content_type in _FILES.items():
        body = files("ops").joinpath("static", name).read_bytes()
        stem, _, suffix = name.rpartition(".")
        digest = hashlib.sha256(body).hexdigest()[:12]
        found[name] = Asset(f"/static/{stem}-{digest}.{suffix}", body, content_type)
    return found


def asset_at(path: str) -> Asset | None:
    """Return the file of a path; only those of the list exist."""
    return next((asset for asset in assets().values() if asset.path == path), None)
