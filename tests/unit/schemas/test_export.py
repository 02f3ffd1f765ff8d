"""The documents that are made from the catalogue."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from ops.tick_sender import CLOCK_HEADERS, TRADE_HEADERS
from schemas.base import InputModel
from schemas.compatibility import Direction
from schemas.dead_letter import DeadLetter
from schemas.export import DIALECT, asyncapi, contracts, direction, documents
from schemas.topics import CANDLES, CONTROL, DEAD_LETTERS, TOPICS, TRADES, TopicSpec
from streams.lanes import CANDLE_HEADERS

DOCUMENTS = documents()
JSON = {path: json.loads(text) for path, text in DOCUMENTS.items() if path.endswith(".json")}
MODELS = {model.__name__: model for spec in TOPICS for model in spec.models} | {"DeadLetter": DeadLetter}
VALUES = {spec.name: spec for spec in TOPICS if spec.models}


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


def resolve(document: Any, reference: str) -> Any:
    """Return what a reference points at in its own document.

    Raises:
        KeyError: nothing.
    """
    file, _, pointer = reference.partition("#")
    assert not file, f"{reference}: a tool that has only this file cannot follow it"
    node = document
    for part in pointer.split("/")[1:]:
        node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


def test_what_there_is() -> None:
    schemas = {f"schemas/{name}.json" for name in (*MODELS, *VALUES)}
    assert set(DOCUMENTS) == {"asyncapi.json", "topics.md", *schemas}


def test_made_twice_they_are_the_same() -> None:
    assert documents() == DOCUMENTS


@pytest.mark.parametrize("path", DOCUMENTS)
def test_ends_with_one_newline(path: str) -> None:
    assert DOCUMENTS[path].endswith("\n")
    assert not DOCUMENTS[path].endswith("\n\n")


@pytest.mark.parametrize("path", JSON)
def test_every_document_is_whole(path: str) -> None:
    for reference in references(JSON[path]):
        assert isinstance(resolve(JSON[path], reference), dict), reference


@pytest.mark.parametrize("name", MODELS)
class TestModels:
    def test_is_a_schema(self, name: str) -> None:
        schema = JSON[f"schemas/{name}.json"]
        assert schema["$schema"] == DIALECT
        assert schema["title"] == name
        assert schema["type"] == "object"
        assert set(schema["required"]) <= schema["properties"].keys()

    def test_inputs_are_closed_and_outputs_are_open(self, name: str) -> None:
        closed = JSON[f"schemas/{name}.json"].get("additionalProperties") is False
        assert closed is issubclass(MODELS[name], InputModel)

    def test_every_number_and_word_of_an_input_is_bounded(self, name: str) -> None:
        if not issubclass(MODELS[name], InputModel):
            return
        for field, kind in JSON[f"schemas/{name}.json"]["properties"].items():
            for option in kind.get("anyOf", [kind]):
                match option.get("type"):
                    case "integer" | "number":
                        assert option.keys() & {"minimum", "exclusiveMinimum"}, field
                        assert option.keys() & {"maximum", "exclusiveMaximum"}, field
                    case "string":
                        assert option.keys() & {"pattern", "const", "enum"}, field


@pytest.mark.parametrize("spec", VALUES.values(), ids=lambda spec: spec.name)
class TestValues:
    def test_a_value_is_one_of_the_models(self, spec: TopicSpec) -> None:
        schema = JSON[f"schemas/{spec.name}.json"]
        assert schema["$schema"] == DIALECT
        assert schema["title"] == spec.name
        meant = [resolve(schema, option["$ref"]) for option in schema["oneOf"]]
        assert [option["title"] for option in meant] == [model.__name__ for model in spec.models]

    def test_it_says_of_a_model_what_the_model_says(self, spec: TopicSpec) -> None:
        for model in spec.models:
            alone = JSON[f"schemas/{model.__name__}.json"]
            definition = JSON[f"schemas/{spec.name}.json"]["$defs"][model.__name__]
            assert definition == {k: v for k, v in alone.items() if k not in {"$schema", "$defs"}}


class TestDirection:
    @pytest.mark.parametrize(
        ("spec", "way"),
        [
            (TRADES, Direction.RECEIVED),
            (CANDLES, Direction.SENT),
            (DEAD_LETTERS, Direction.SENT),
            (CONTROL, Direction.INTERNAL),
        ],
        ids=lambda value: getattr(value, "name", value),
    )
    def test_follows_from_the_catalogue(self, spec: TopicSpec, way: Direction) -> None:
        assert direction(spec) is way
        assert contracts()[spec.name if spec.models else "DeadLetter"].direction is way

    def test_what_becomes_public_is_sent(self) -> None:
        assert direction(replace(CONTROL, public=True)) is Direction.SENT

    def test_no_model_of_others_is_on_a_topic_of_ours(self) -> None:
        """One closed model among open ones would make the direction of a topic a guess."""
        for spec in TOPICS:
            assert len({issubclass(model, InputModel) for model in spec.models}) <= 1, spec.name


class TestAsyncApi:
    DOCUMENT: ClassVar[dict[str, Any]] = asyncapi()

    def channel(self, spec: TopicSpec) -> Any:
        (found,) = (c for c in self.DOCUMENT["channels"].values() if c["address"] == spec.name)
        return found

    def test_is_version_3(self) -> None:
        assert self.DOCUMENT["asyncapi"] == "3.0.0"
        assert self.DOCUMENT["info"].keys() >= {"title", "version"}
        roots = {"asyncapi", "info", "defaultContentType", "channels", "operations", "components"}
        assert self.DOCUMENT.keys() == roots

    def test_names_are_such_as_the_specification_allows(self) -> None:
        for names in (self.DOCUMENT["channels"], self.DOCUMENT["operations"], self.schemas()):
            assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in names)

    def schemas(self) -> dict[str, Any]:
        schemas: dict[str, Any] = self.DOCUMENT["components"]["schemas"]
        return schemas

    def test_holds_every_schema(self) -> None:
        assert MODELS.keys() <= self.schemas().keys()

    def test_keywords_are_those_of_its_dialect(self) -> None:
        """Its schemas are those of draft 07: no definitions inside, and a discriminator is a name."""
        assert '"$defs"' not in DOCUMENTS["asyncapi.json"]
        assert '"discriminator": {' not in DOCUMENTS["asyncapi.json"]
        assert '"prefixItems"' not in DOCUMENTS["asyncapi.json"]

    @pytest.mark.parametrize("spec", TOPICS, ids=lambda spec: spec.name)
    def test_has_a_channel_for_every_topic_as_the_broker_has_it(self, spec: TopicSpec) -> None:
        kafka = self.channel(spec)["bindings"]["kafka"]
        assert (kafka["topic"], kafka["partitions"]) == (spec.name, spec.partitions)
        said = kafka["topicConfiguration"]
        assert said["cleanup.policy"] == ["compact" if spec.compact else "delete"]
        assert said.get("retention.ms") == (None if spec.compact else spec.retention_ms)
        assert said["max.message.bytes"] == spec.max_message_bytes

    @pytest.mark.parametrize("spec", VALUES.values(), ids=lambda spec: spec.name)
    def test_a_message_has_key_headers_and_value(self, spec: TopicSpec) -> None:
        messages = self.channel(spec)["messages"]
        assert list(messages) == [model.__name__ for model in spec.models]
        for model in spec.models:
            message = messages[model.__name__]
            assert message["contentType"] == "application/json"
            assert resolve(self.DOCUMENT, message["payload"]["$ref"])["title"] == model.__name__
            assert message["headers"]["properties"].keys() >= {"content-type", "schema"}
            if spec.key in model.model_fields:
                key = message["bindings"]["kafka"]["key"]
                whole = resolve(self.DOCUMENT, message["payload"]["$ref"])
                assert key == whole["properties"][spec.key]
            else:
                assert "bindings" not in message, "a clock is not keyed"

    @pytest.mark.parametrize(
        ("spec", "name", "headers"),
        [
            (TRADES, "TradeTick", TRADE_HEADERS),
            (TRADES, "ClockTick", CLOCK_HEADERS),
            (CANDLES, "Candle", [*CANDLE_HEADERS, ("id", b"AAPL|1m|0|polygon.sip|r0")]),
        ],
    )
    def test_headers_are_those_that_are_sent(
        self, spec: TopicSpec, name: str, headers: list[tuple[str, bytes]]
    ) -> None:
        schema = self.channel(spec)["messages"][name]["headers"]
        assert list(schema["properties"]) == [header for header, _ in headers]
        for header, value in headers:
            assert schema["properties"][header].get("const", value.decode()) == value.decode()
        assert schema.get("required", []) == (list(schema["properties"]) if spec.public else [])

    def test_a_dead_letter_is_bytes_with_a_reason_in_its_headers(self) -> None:
        (message,) = self.channel(DEAD_LETTERS)["messages"].values()
        assert message["contentType"] == "application/octet-stream"
        assert "payload" not in message
        headers = resolve(self.DOCUMENT, message["headers"]["$ref"])
        fields = DeadLetter.model_fields.values()
        assert set(headers["properties"]) == {field.alias for field in fields}

    def test_says_who_sends_what(self) -> None:
        said = set()
        for operation in self.DOCUMENT["operations"].values():
            channel = resolve(self.DOCUMENT, operation["channel"]["$ref"])
            said.add((operation["action"], channel["address"]))
            prefix = operation["channel"]["$ref"] + "/messages/"
            assert [m["$ref"].removeprefix(prefix) for m in operation["messages"]] == list(
                channel["messages"]
            )
        assert len(said) == len(self.DOCUMENT["operations"])
        received = {("receive", spec.name) for spec in TOPICS if direction(spec) is not Direction.SENT}
        sent = {("send", spec.name) for spec in TOPICS if direction(spec) is not Direction.RECEIVED}
        assert said == received | sent


def test_the_page_has_a_row_for_every_topic() -> None:
    page = DOCUMENTS["topics.md"]
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == [spec.name for spec in TOPICS]
    assert all(row.count("|") == page.splitlines()[4].count("|") for row in rows)
    assert all(
        ("the last of each key" in row) is spec.compact for row, spec in zip(rows, TOPICS, strict=True)
    )
