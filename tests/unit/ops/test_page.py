"""The status page as HTML."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from typing_extensions import override

from ops.assets import asset_at, assets
from ops.page import render
from ops.view import view
from tests.unit.ops.snapshots import NOW_NS, away, partition, past, worker

VOID = {"meta", "link", "img", "br", "input", "rect", "path", "polyline", "polygon"}
HOSTILE = [
    "<script>alert(1)</script>",
    "'\"><img src=x onerror=alert(1)>",
    "</title></style></svg><svg onload=alert(1)>",
    "{{ 7*7 }}{% raw %}",
    "javascript:alert(1)",
    '" hx-get="https://evil.example" x="',
    "\u202e\x00\x1b[2J\ud800",
]


class Outline(HTMLParser):
    """Elements with their attributes; complains about tags that do not match."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    @override
    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in {tag}"
        if tag not in VOID:
            self.open.append(tag)

    @override
    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    @override
    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    @override
    def handle_data(self, data):
        self.text.append(data)


def outline(html: str) -> Outline:
    parser = Outline()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


def page(status=None, points=()) -> str:
    return render(view(status or worker(), NOW_NS, points))


def names(parsed: Outline) -> list[tuple[str, frozenset[str]]]:
    return [(tag, frozenset(attributes)) for tag, attributes in parsed.elements]


STATES = {
    "well": worker(),
    "starting": worker(phase="starting", partitions=(), last_commit_s=None),
    "away": worker(phase="waiting_for_database", database=away(), partitions=(partition(end=None),)),
    "violated": worker(partitions=(partition(committed=48_112_931), partition(1, moved_s=99.0))),
}


@pytest.mark.parametrize("state", STATES)
def test_structure(state):
    parsed = outline(page(STATES[state], past().points(329.0)))
    tags = [tag for tag, _ in parsed.elements]
    assert [tags.count(t) for t in ("html", "head", "title", "body", "h1", "main")] == [1] * 6
    ids = [a["id"] for _, a in parsed.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert "live" in ids
    assert all("alt" in a for tag, a in parsed.elements if tag == "img")


@pytest.mark.parametrize("state", STATES)
def test_nothing_inline_and_nothing_from_elsewhere(state):
    parsed = outline(page(STATES[state], past().points(329.0)))
    for tag, attributes in parsed.elements:
        assert tag not in {"style", "iframe", "object", "embed", "base", "form"}
        assert "style" not in attributes
        assert not [a for a in attributes if a.startswith(("on", "hx-on"))]
        for name in ("src", "href", "hx-get"):
            target = attributes.get(name) or "/"
            assert target.startswith("/")
            assert not target.startswith("//")
        if tag == "script":
            assert (attributes["src"] or "").startswith("/static/htmx")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_string_stays_text(hostile):
    harmless = names(outline(page(STATES["away"])))
    status = dataclasses.replace(
        STATES["away"],
        worker_id=hostile,
        version=hostile,
        group=hostile,
        cluster=hostile,
        detail=hostile,
        database=away(detail=hostile),
        partitions=(partition(topic=hostile, end=None),),
    )
    parsed = outline(page(status))
    assert names(parsed) == harmless
    assert "".join(parsed.text).count(hostile) >= 7


def test_words_and_shapes_go_with_the_colours():
    text = "".join(outline(page(STATES["violated"])).text)
    assert "✕ FAIL" in text
    assert "■ STALLED" in text
    assert "committed beyond stored" in text


def test_what_is_not_known_is_a_dash():
    html = page(worker(partitions=(partition(end=None, committed=None),), last_commit_s=None))
    row = html[html.index("<tbody>") : html.index("</tbody>")]
    assert row.count("–</td>") == 3  # noqa: RUF001 - the dash of the page
    assert "○</span> unknown" in row
    assert "good" not in row


def test_the_first_visit_is_small():
    page_bytes = len(
        gzip.compress(page(worker(partitions=STATES["well"].partitions * 2), past().points(329.0)).encode())
    )
    files_bytes = sum(len(gzip.compress(a.body)) for a in assets().values())
    assert page_bytes < 5_000
    assert page_bytes + files_bytes < 30_000


def test_files_are_named_by_their_content():
    for name, asset in assets().items():
        assert hashlib.sha256(asset.body).hexdigest()[:12] in asset.path
        assert asset_at(asset.path) is asset
        assert asset_at(f"/static/{name}") is None
    html = page()
    assert all(asset.path in html for asset in assets().values())
    assert asset_at("/static/../pages.py") is None


def test_vendored_files_are_what_the_lock_says():
    static = files("ops").joinpath("static")
    for entry in json.loads(static.joinpath("vendor.lock").read_text()):
        body = static.joinpath(entry["file"]).read_bytes()
        assert hashlib.sha256(body).hexdigest() == entry["sha256"]
        assert "permission" in static.joinpath(entry["licence_file"]).read_text().lower()
        assert entry["version"] in entry["file"]
    locked = {e["file"] for e in json.loads(static.joinpath("vendor.lock").read_text())}
    scripts = {f.name for f in static.iterdir() if f.name.endswith(".js")}
    assert scripts == locked, "a script that is not ours is in the lock; ours there are none"


def test_the_style_is_for_light_and_dark_and_asks_nobody_else():
    css = assets()["status.css"].body.decode()
    assert "prefers-color-scheme: dark" in css
    assert "http" not in css
    assert "@import" not in css
