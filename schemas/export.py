"""The catalogue as documents: JSON Schemas, one AsyncAPI 3 document, a page of topics."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from schemas.dead_letter import DeadLetter
from schemas.topics import TOPICS, TopicSpec

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema of a value."""
    return {"$schema": DIALECT, **model.model_json_schema(mode="validation")}


def documents() -> dict[str, str]:
    """Return every generated document, by its path under ``docs/reference``."""
    models = {model for spec in TOPICS for model in spec.models} | {DeadLetter}
    files = {
        f"schemas/{model.__name__}.json": _dump(json_schema(model))
        for model in sorted(models, key=lambda m: m.__name__)
    }
    return {**files, "asyncapi.json": _dump(asyncapi()), "topics.md": topics_markdown()}


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3 document of all topics."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "tapeflow", "version": "1", "description": "Market data on Kafka."},
        "defaultContentType": "application/json",
        "channels": {_id(spec): _channel(spec) for spec in TOPICS},
        "operations": {
            f"{'send' if spec.public else 'receive'}-{_id(spec)}": {
                "action": "send" if spec.public else "receive",
                "channel": {"$ref": f"#/channels/{_id(spec)}"},
            }
            for spec in TOPICS
            if spec.models
        },
    }


def _channel(spec: TopicSpec) -> dict[str, Any]:
    messages: dict[str, Any] = {
        model.__name__: {"name": model.__name__, "payload": {"$ref": f"schemas/{model.__name__}.json"}}
        for model in spec.models
    }
    if not spec.models:
        messages["DeadLetter"] = {
            "name": "DeadLetter",
            "contentType": "application/octet-stream",
            "headers": {"$ref": "schemas/DeadLetter.json"},
        }
    return {
        "address": spec.name,
        "description": spec.summary,
        "messages": messages,
        "bindings": {
            "kafka": {
                "topic": spec.name,
                "partitions": spec.partitions,
                "topicConfiguration": {
                    "cleanup.policy": ["delete"],
                    "retention.ms": spec.retention_ms,
                    "max.message.bytes": spec.max_message_bytes,
                },
                "bindingVersion": "0.5.0",
            }
        },
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
        kept = f"{spec.retention_ms // 3_600_000} h"
        lines.append(
            f"| `{spec.name}` | {spec.key} | {values or 'the original bytes'} | {spec.partitions} | {kept} "
            f"| {'yes' if spec.public else 'no'} | {spec.summary} |"
        )
    return "\n".join(lines) + "\n"


def _id(spec: TopicSpec) -> str:
    return spec.name.replace(".", "-")


def _dump(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
