"""The documents that are made from the catalogue."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator
from typing import Any

import pytest

from schemas.export import DIALECT, asyncapi, documents
from schemas.topics import TOPICS

DOCUMENTS = documents()
JSON = {path: json.loads(text) for path, text in DOCUMENTS.items() if path.endswith(".json")}


def references(node: Any) -> Iterator[str]:
    """Yield every ``$ref`` anywhere in a document."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


def resolve(path: str, reference: str) -> Any:
    """Return what a reference in the document at ``path`` points at.

    Raises:
        KeyError: nothing.
    """
    file, _, pointer = reference.partition("#")
    node = JSON[posixpath.normpath(posixpath.join(posixpath.dirname(path), file)) if file else path]
    for part in pointer.split("/")[1:]:
        node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


def test_what_there_is() -> None:
    assert set(DOCUMENTS) == {
        "asyncapi.json",
        "topics.md",
        "schemas/Candle.json",
        "schemas/ClockTick.json",
        "schemas/DeadLetter.json",
        "schemas/TradeTick.json",
    }


def test_made_twice_they_are_the_same() -> None:
    assert documents() == DOCUMENTS


@pytest.mark.parametrize("path", DOCUMENTS)
def test_ends_with_one_newline(path: str) -> None:
    assert DOCUMENTS[path].endswith("\n")
    assert not DOCUMENTS[path].endswith("\n\n")


@pytest.mark.parametrize("path", JSON)
def test_every_reference_resolves(path: str) -> None:
    for reference in references(JSON[path]):
        assert isinstance(resolve(path, reference), dict), reference


@pytest.mark.parametrize("path", [path for path in JSON if path.startswith("schemas/")])
class TestSchemas:
    def test_is_one(self, path: str) -> None:
        schema = JSON[path]
        assert schema["$schema"] == DIALECT
        assert schema["title"] == path.removeprefix("schemas/").removesuffix(".json")
        assert schema["type"] == "object"
        assert set(schema["required"]) <= schema["properties"].keys()

    def test_inputs_are_closed_and_outputs_are_open(self, path: str) -> None:
        closed = JSON[path].get("additionalProperties") is False
        assert closed is (path in {"schemas/TradeTick.json", "schemas/ClockTick.json"})

    def test_every_number_and_word_of_an_input_is_bounded(self, path: str) -> None:
        if "additionalProperties" not in JSON[path]:
            return
        for name, kind in JSON[path]["properties"].items():
            for option in kind.get("anyOf", [kind]):
                match option.get("type"):
                    case "integer" | "number":
                        assert option.keys() & {"minimum", "exclusiveMinimum"}, name
                        assert option.keys() & {"maximum", "exclusiveMaximum"}, name
                    case "string":
                        assert option.keys() & {"pattern", "const", "enum"}, name


class TestAsyncApi:
    DOCUMENT: dict[str, Any] = asyncapi()

    def test_is_version_3(self) -> None:
        assert self.DOCUMENT["asyncapi"] == "3.0.0"
        assert self.DOCUMENT["info"].keys() >= {"title", "version"}

    def test_has_a_channel_for_every_topic(self) -> None:
        channels = self.DOCUMENT["channels"].values()
        assert {channel["address"] for channel in channels} == {spec.name for spec in TOPICS}
        for channel in channels:
            assert channel["messages"]
            kafka = channel["bindings"]["kafka"]
            assert kafka["topic"] == channel["address"]
            assert kafka["partitions"] > 0

    def test_every_message_says_what_it_is(self) -> None:
        for channel in self.DOCUMENT["channels"].values():
            for name, message in channel["messages"].items():
                assert message["name"] == name
                assert message.keys() & {"payload", "headers"}

    def test_says_who_sends_what(self) -> None:
        operations = self.DOCUMENT["operations"].values()
        said = {
            (op["action"], resolve("asyncapi.json", op["channel"]["$ref"])["address"]) for op in operations
        }
        assert said == {("receive", "md.trades.v1"), ("send", "md.candles.v1")}


def test_the_page_has_a_row_for_every_topic() -> None:
    page = DOCUMENTS["topics.md"]
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == [spec.name for spec in TOPICS]
    assert all(row.count("|") == page.splitlines()[4].count("|") for row in rows)
