"""The catalogue as documents: JSON Schemas, one AsyncAPI 3 document, a page of topics."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from schemas.base import InputModel
from schemas.compatibility import Direction
from schemas.dead_letter import DeadLetter
from schemas.topics import TOPICS, TopicSpec

DIALECT = "https://json-schema.org/draft/2020-12/schema"
BINDING = "0.5.0"
UTF8 = "Bytes of UTF-8 text."
HOURS_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Contract:
    """What is held compatible from release to release."""

    schema: dict[str, Any]
    direction: Direction


def contracts() -> dict[str, Contract]:
    """Return the contracts of the values of topics by topic, and that of the headers of dead letters."""
    values = {spec.name: Contract(value_schema(spec), direction(spec)) for spec in TOPICS if spec.models}
    return {**values, DeadLetter.__name__: Contract(json_schema(DeadLetter), Direction.SENT)}


def direction(spec: TopicSpec) -> Direction:
    """Return who writes a topic and who reads it."""
    if spec.public or not spec.models:
        return Direction.SENT
    if all(issubclass(model, InputModel) for model in spec.models):
        return Direction.RECEIVED
    return Direction.INTERNAL


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema of one model."""
    return {"$schema": DIALECT, **model.model_json_schema(mode="validation")}


def value_schema(spec: TopicSpec) -> dict[str, Any]:
    """Return the JSON Schema of the values of a topic: one of its models, whole in one document."""
    return {
        "$schema": DIALECT,
        "title": spec.name,
        "description": spec.summary,
        "oneOf": [{"$ref": f"#/$defs/{model.__name__}"} for model in spec.models],
        "$defs": _definitions(spec.models, "#/$defs/{model}"),
    }


def schema_name(spec: TopicSpec, model: type[BaseModel]) -> str:
    """Return what the header `schema` says, as in ``trade-tick.v1``."""
    return f"{re.sub('(?<!^)(?=[A-Z])', '-', model.__name__).lower()}.{spec.name.rpartition('.')[2]}"


def documents() -> dict[str, str]:
    """Return every generated document, by its path under ``docs/reference``."""
    schemas = {model.__name__: json_schema(model) for model in _models()}
    schemas |= {name: contract.schema for name, contract in contracts().items()}
    files = {f"schemas/{name}.json": dump(schemas[name]) for name in sorted(schemas)}
    return {**files, "asyncapi.json": dump(asyncapi()), "topics.md": topics_markdown()}


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3 document of all topics: whole in one file, as tools of consumers like it."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "tapeflow",
            "version": "1",
            "description": "Market data on Kafka. `receive` is what tapeflow reads and others may write, "
            "`send` is what it writes.",
        },
        "defaultContentType": "application/json",
        "channels": {_id(spec): _channel(spec) for spec in TOPICS},
        "operations": {
            f"{action}-{_id(spec)}": _operation(spec, action) for spec in TOPICS for action in _actions(spec)
        },
        "components": {"schemas": _definitions(_models(), "#/components/schemas/{model}")},
    }


def topics_markdown() -> str:
    """Return the page of topics."""
    lines = [
        "# Topics",
        "",
        "Made from `schemas/topics.py` by `make docs`. `tapeflow topics apply` creates what is missing.",
        "",
        "| topic | key | value | partitions | kept | public | what |",
        "|---|---|---|---|---|---|---|",
    ]
    for spec in TOPICS:
        values = " or ".join(f"[`{m.__name__}`](schemas/{m.__name__}.json)" for m in spec.models)
        kept = "the last of each key" if spec.compact else f"{spec.retention_ms // HOURS_MS} h"
        lines.append(
            f"| `{spec.name}` | {spec.key} | {values or 'the original bytes'} | {spec.partitions} | {kept} "
            f"| {'yes' if spec.public else 'no'} | {spec.summary} |"
        )
    return "\n".join(lines) + "\n"


def dump(document: dict[str, Any]) -> str:
    """Return a document as text, the same every time."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _models() -> list[type[BaseModel]]:
    models = {model for spec in TOPICS for model in spec.models} | {DeadLetter}
    return sorted(models, key=lambda model: model.__name__)


def _definitions(models: Iterable[type[BaseModel]], template: str) -> dict[str, Any]:
    """Return the schemas of models, and of what they are made of, by name."""
    _, document = models_json_schema([(model, "validation") for model in models], ref_template=template)
    definitions: dict[str, Any] = document["$defs"]
    return definitions


def _actions(spec: TopicSpec) -> tuple[str, ...]:
    match direction(spec):
        case Direction.RECEIVED:
            return ("receive",)
        case Direction.SENT:
            return ("send",)
        case Direction.INTERNAL:
            return ("send", "receive")


def _operation(spec: TopicSpec, action: str) -> dict[str, Any]:
    channel = f"#/channels/{_id(spec)}"
    return {
        "action": action,
        "summary": spec.summary,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{name}"} for name in _messages(spec)],
    }


def _channel(spec: TopicSpec) -> dict[str, Any]:
    kept = {name: spec.config[name] for name in ("retention.ms", "max.message.bytes") if name in spec.config}
    return {
        "address": spec.name,
        "description": spec.summary,
        "messages": _messages(spec),
        "bindings": {
            "kafka": {
                "topic": spec.name,
                "partitions": spec.partitions,
                "topicConfiguration": {
                    "cleanup.policy": spec.config["cleanup.policy"].split(","),
                    **{name: int(value) for name, value in kept.items()},
                },
                "bindingVersion": BINDING,
            }
        },
    }


def _messages(spec: TopicSpec) -> dict[str, Any]:
    if not spec.models:
        return {
            DeadLetter.__name__: {
                "name": DeadLetter.__name__,
                "summary": "Key, bytes and headers of the record as it was, with the reason in more headers.",
                "contentType": "application/octet-stream",
                "headers": {"$ref": f"#/components/schemas/{DeadLetter.__name__}"},
                "bindings": _keyed({"description": f"The key {spec.key}, or none."}),
            }
        }
    return {model.__name__: _message(spec, model) for model in spec.models}


def _message(spec: TopicSpec, model: type[BaseModel]) -> dict[str, Any]:
    key = model.model_json_schema(mode="validation")["properties"].get(spec.key)
    return {
        "name": model.__name__,
        "title": schema_name(spec, model),
        "summary": (model.__doc__ or "").partition("\n")[0],
        "contentType": "application/json",
        "headers": _headers(spec, model),
        "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
        **({"bindings": _keyed(key)} if key else {}),
    }


def _headers(spec: TopicSpec, model: type[BaseModel]) -> dict[str, Any]:
    """Return the headers of a record: always there on what others read, advice to who writes."""
    headers = {
        "content-type": {"type": "string", "const": "application/json", "description": UTF8},
        "schema": {"type": "string", "const": schema_name(spec, model), "description": UTF8},
    }
    if direction(spec) is not Direction.SENT:
        return {"type": "object", "properties": headers}
    of_repeats = "The same for every publication of the same version: drop repeats by it."
    headers["id"] = {"type": "string", "description": f"{UTF8} {of_repeats}"}
    return {"type": "object", "properties": headers, "required": list(headers)}


def _keyed(key: dict[str, Any]) -> dict[str, Any]:
    return {"kafka": {"key": key, "bindingVersion": BINDING}}


def _id(spec: TopicSpec) -> str:
    return spec.name.replace(".", "-")
