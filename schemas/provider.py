"""The words that jobs, settings, providers and stored rows share: who, what, how adjusted, whose trades."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

ProviderName = Literal["polygon", "finnhub", "alpaca", "iex"]
"""Whom tapeflow can fetch from; `iex` is IEX's data by way of Tiingo or Alpaca."""
PROVIDERS: tuple[ProviderName, ...] = get_args(ProviderName)

Interval = Literal["1m", "5m", "15m", "30m", "1h", "1d"]
"""Length of a bar that can be asked for."""
INTERVALS: tuple[Interval, ...] = get_args(Interval)

Adjustment = Literal["raw", "split", "all"]
"""What prices and sizes are adjusted for: nothing, splits, splits and dividends."""

Coverage = Literal["consolidated", "iex"]
"""Whose trades are in it: all exchanges of the consolidated tape, or IEX alone (some 2 % of the volume)."""

Kind = Literal["bars_1m", "bars_1d", "quotes_l1"]
"""What a policy is about; intervals between 1m and 1d follow the policy of 1m."""

#: who can serve a kind at all, entitlement aside
SERVES: Mapping[Kind, frozenset[ProviderName]] = {
    "bars_1m": frozenset(PROVIDERS),
    "bars_1d": frozenset(PROVIDERS),
    "quotes_l1": frozenset(PROVIDERS),
}
