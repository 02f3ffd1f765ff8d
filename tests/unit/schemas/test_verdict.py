"""Pydantic's errors, told by the field."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from schemas.base import InputModel
from schemas.errors import Poison, Reason
from schemas.verdict import MAX_DETAIL, poison_of

#: pydantic's message repeats it, and is then longer than a detail may be
LONG = f"^{'word' * 200}$"


class Leg(InputModel):
    size: int
    side: str = Field(pattern=LONG)


class Swap(InputModel):
    kind: Literal["swap"]
    legs: tuple[Leg, ...] = ()


class Note(InputModel):
    kind: Literal["note"]
    text: str = ""


UNION: TypeAdapter[Swap | Note] = TypeAdapter(Annotated[Swap | Note, Field(discriminator="kind")])
ONE: TypeAdapter[Swap] = TypeAdapter(Swap)


def verdict(value: str, contract: TypeAdapter[Any] = UNION, tag: str | None = "kind") -> Poison:
    with pytest.raises(ValidationError) as caught:
        contract.validate_json(value)
    return poison_of(caught.value, tag=tag)


@pytest.mark.parametrize("value", ["", "{", "[1,]", '{"kind":"swap"'])
def test_no_json(value: str) -> None:
    for poison in (verdict(value), verdict(value, ONE, None)):
        assert poison.reason is Reason.DESERIALIZE
        assert poison.detail.startswith("value: Invalid JSON: ")


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        ("[]", "value: Input should be an object"),
        ("{}", "kind: Field required"),
        ('{"kind":"sawp"}', "kind: Input should be one of 'swap', 'note'"),
        ('{"kind":"note","text":1}', "text: Input should be a valid string"),
        ('{"kind":"swap","swap":1}', "swap: Extra inputs are not permitted"),
        ('{"kind":"swap","legs":[{}]}', "legs.0.size: Field required (and 1 more)"),
        ('{"kind":"swap","legs":[1,2,3]}', "legs.0: Input should be an object (and 2 more)"),
        ('{"kind":"note","a\\u001bb":1}', "a\N{REPLACEMENT CHARACTER}b: Extra inputs are not permitted"),
        ('{"kind":"note","":1}', '"": Extra inputs are not permitted'),
    ],
)
def test_of_a_union(value: str, detail: str) -> None:
    poison = verdict(value)
    assert (poison.reason, poison.detail) == (Reason.SCHEMA, detail)


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        ("[]", "value: Input should be an object"),
        ("{}", "kind: Field required"),
        ('{"kind":"note"}', "kind: Input should be 'swap'"),
        ('{"kind":"swap","legs":[{}]}', "legs.0.size: Field required (and 1 more)"),
    ],
)
def test_of_one_model(value: str, detail: str) -> None:
    assert verdict(value, ONE, None).detail == detail


def test_is_cut_where_the_message_is_not_where_the_count_is() -> None:
    detail = verdict('{"kind":"swap","legs":[{"size":1,"side":"x"},1]}').detail
    assert len(detail) == MAX_DETAIL
    assert detail.startswith("legs.0.side: String should match pattern '^word")
    assert detail.endswith(" (and 1 more)")
