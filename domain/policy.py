"""What an operator may ask of the provider table, and in which words it is refused."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from schemas.provider import PROVIDERS, SERVES, Kind


def policy_faults(key: str, providers: Sequence[str], kind: Kind) -> Iterator[str]:
    """Yield what is wrong with an order of preference: empty, unknown, unable or named twice.

    Args:
        key: name of the setting, as in ``POLICY_BARS_1M``.
        providers: best first.
        kind: what they are to serve.
    """
    if not providers:
        yield f"empty policy: {key} names no provider"
    seen = set()
    for name in providers:
        if name not in PROVIDERS:
            yield f"unknown provider {name!r} in {key} (known: {', '.join(PROVIDERS)})"
        elif name not in SERVES[kind]:
            yield f"provider {name!r} in {key} does not serve {kind}"
        elif name in seen:
            yield f"duplicate provider {name!r} in {key}"
        seen.add(name)


def breaker_faults(demote: float, promote: float) -> Iterator[str]:
    """Yield what is wrong with the thresholds; ``0 <= demote < promote <= 1`` is right."""
    if not 0 <= demote < promote <= 1:  # False for NaN
        yield (
            f"invalid breaker thresholds: demote={demote:g}, promote={promote:g} "
            "(BREAKER_DEMOTE_THRESHOLD and BREAKER_PROMOTE_THRESHOLD: 0 <= demote < promote <= 1)"
        )


def positive_faults(key: str, value: float) -> Iterator[str]:
    """Yield what is wrong with a number that must be finite and above 0."""
    if not 0 < value < math.inf:
        yield f"invalid {key}: {value:g} is not above 0"


def weight_faults(key: str, weights: Sequence[float]) -> Iterator[str]:
    """Yield what is wrong with the weights of a score: four, none negative, together 1."""
    if len(weights) != 4:
        yield f"invalid {key}: {len(weights)} numbers, four expected: breaker, latency, errors, completeness"
    elif not (all(0 <= w <= 1 for w in weights) and math.isclose(sum(weights), 1, abs_tol=1e-9)):
        yield f"invalid {key}: {', '.join(f'{w:g}' for w in weights)} are not shares that add up to 1"
