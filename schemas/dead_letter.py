"""What a dead letter says: the headers that ``md.dlq.v1`` adds to the original record."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pydantic import ConfigDict, Field

from schemas.base import OutputModel
from schemas.errors import Poison, Reason

Headers = Sequence[tuple[str, bytes | None]]
#: of UTF-8; names of fields and what a database says need not be ASCII
MAX_MESSAGE_BYTES = 512


class DeadLetter(OutputModel):
    """The ``dlq.*`` headers, all UTF-8 text; key, value and other headers are the original's.

    Should the original have headers of these names, ours come after them: the last one counts.
    """

    model_config = ConfigDict(populate_by_name=True)

    id: str = Field(
        alias="dlq.id",
        description="SHA-256 of topic, partition, offset and group, or of the candle that was refused: "
        "drop repeats by it.",
    )
    reason: Reason = Field(alias="dlq.reason", description="Why; a closed set.")
    stage: str = Field(alias="dlq.stage", description="Where: `decode`, `fold` or `sink`.")
    error_message: str = Field(
        alias="dlq.error.message", max_length=512, description="Which field, and what is wrong with it."
    )
    orig_topic: str = Field(alias="dlq.orig.topic")
    orig_partition: int = Field(alias="dlq.orig.partition", ge=0)
    orig_offset: int = Field(alias="dlq.orig.offset", ge=0)
    orig_timestamp: int = Field(
        alias="dlq.orig.timestamp", description="Milliseconds since the epoch, as the broker stored it."
    )
    orig_group: str = Field(alias="dlq.orig.group")
    first_failed_at: int = Field(alias="dlq.first_failed_at", description="Nanoseconds since the epoch, UTC.")
    app_version: str = Field(alias="dlq.app.version")

    def headers(self) -> list[tuple[str, bytes]]:
        """Return the headers in the order above."""
        return [(name, str(value).encode()) for name, value in self.model_dump(by_alias=True).items()]


def dead_letter_id(topic: str, partition: int, offset: int, group: str) -> str:
    """Return the id of the dead letter of one record: the same however often it is diverted."""
    return hashlib.sha256(f"{topic}|{partition}|{offset}|{group}".encode()).hexdigest()


def message_of(poison: Poison) -> str:
    """Return the error message: short, printable, never the payload."""
    text = poison.detail[:MAX_MESSAGE_BYTES]
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return printable.encode()[:MAX_MESSAGE_BYTES].decode(errors="ignore")
