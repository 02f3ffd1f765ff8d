"""The tree of errors, as it is drawn and as it is."""

from __future__ import annotations

import re

import pytest

from schemas import errors
from schemas.errors import (
    CommandError,
    Fatal,
    Poison,
    ProviderError,
    RateLimited,
    Reason,
    TapeflowError,
    Transient,
)


def drawn() -> dict[str, str]:
    """Return each error of the docstring's tree with its parent."""
    parents: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ([│├└─ ]*)([A-Z]\w+)", line)
        if match:
            depth = len(match[1]) // 4
            del above[depth:]
            if above:
                parents[match[2]] = above[-1]
            above.append(match[2])
    return parents


def every(root: type[TapeflowError] = TapeflowError) -> list[type[TapeflowError]]:
    """Return an error and all below it."""
    ours = (child for child in root.__subclasses__() if child.__module__ == errors.__name__)
    return [root, *(error for child in ours for error in every(child))]


def test_the_tree_is_drawn_as_it_is() -> None:
    assert drawn() == {error.__name__: error.__base__.__name__ for error in every()[1:] if error.__base__}


def test_the_outcomes_exclude_each_other() -> None:
    families = (Poison, Transient, Fatal, ProviderError, CommandError)
    for error in every():
        assert sum(issubclass(error, family) for family in families) == (error is not TapeflowError)


#: what a supervisor or a script may act on; `1` is everything else
EXIT_CODES = {
    "OutageOutlasted": 4,
    "PositionLost": 6,
    "TopicMismatch": 3,
    "ConfigInvalid": 3,
    "DependencyAway": 4,
    "PartialSuccess": 5,
    "CheckFailed": 6,
}


def test_exit_codes() -> None:
    assert {error.__name__: error.exit_code for error in every() if error.exit_code != 1} == EXIT_CODES


PLAIN = [e for e in every() if e is not Poison and not issubclass(e, ProviderError)]


@pytest.mark.parametrize("error", PLAIN, ids=lambda e: e.__name__)
def test_without_a_message_the_docstring_speaks(error: type[TapeflowError]) -> None:
    assert str(error()) == (error.__doc__ or "").splitlines()[0]
    assert str(error("said so")) == "said so"


def test_poison_says_reason_and_detail() -> None:
    poison = Poison(Reason.SCHEMA, "price: missing")
    assert (str(poison), poison.reason, poison.detail) == (
        "schema: price: missing",
        Reason.SCHEMA,
        "price: missing",
    )


def test_an_error_of_a_provider_says_who_and_with_which_status() -> None:
    error = RateLimited("slow down", provider="polygon", status=429, raw=b"x" * 600, retry_after_s=12.0)
    assert str(error) == "polygon: 429 slow down"
    assert (error.retry_after_s, error.scope, len(error.raw)) == (12.0, "minute", 512)
    assert str(ProviderError("reset", provider="alpaca")) == "alpaca: reset"


def test_reasons_are_a_closed_set_of_label_values() -> None:
    assert {reason.value for reason in Reason} == {
        "empty",
        "deserialize",
        "schema",
        "too_large",
        "future",
        "expired",
        "correction",
        "unserviceable",
        "sink_data",
        "sink_constraint",
    }
