"""From settings to the clients of the vendors that have a key, each behind the budget of its key."""

from __future__ import annotations

from pydantic import SecretStr

from domain.clock import Clock
from providers.alpaca.client import AlpacaClient
from providers.alpaca.config import AlpacaConfig
from providers.base import Provider
from providers.finnhub.client import FinnhubClient
from providers.gate import Gate, OpenGate
from providers.iex.client import iex_client
from providers.limits import Budget, BudgetGate, Leases, Share, Window, budget_name
from providers.polygon.client import PolygonClient
from schemas.errors import ConfigInvalid
from schemas.provider import ProviderName
from streams.provider_fields import ProviderFields

#: which settings have a vendor's key
KEYS: dict[ProviderName, str] = {
    "polygon": "POLYGON_API_KEY",
    "alpaca": "ALPACA_API_KEY_ID and ALPACA_API_SECRET_KEY",
    "finnhub": "FINNHUB_API_KEY",
    "iex": "TIINGO_API_KEY (or alpaca's, with IEX_BACKEND=alpaca)",
}


def client(
    name: ProviderName,
    settings: ProviderFields,
    clock: Clock,
    leases: Leases,
    *,
    share: Share,
    patience_s: float = 0.0,
) -> Provider:
    """Return the client of one vendor; who took it closes it.

    Args:
        name: of the provider.
        settings: with its key.
        clock: for budgets and for what a plan has not yet.
        leases: where the permits of a key are counted.
        share: of the key's budget.
        patience_s: how long a request waits for a permit before it is refused.

    Raises:
        ConfigInvalid: the vendor has no key.
    """
    if name == "polygon" and (polygon := settings.polygon()):
        # paid plans have no limit that anybody has published
        rates = () if polygon.plan != "free" else polygon.rates
        gate = _gate(name, "polygon", polygon.key, rates, clock, leases, share=share, patience_s=patience_s)
        return PolygonClient(polygon, clock, gate)
    if name == "alpaca" and (alpaca := settings.alpaca()):
        gate = _gate(
            name, "alpaca", alpaca.key_id, alpaca.rates, clock, leases, share=share, patience_s=patience_s
        )
        return AlpacaClient(alpaca, clock, gate)
    if name == "finnhub" and (finnhub := settings.finnhub()):
        gate = _gate(
            name, "finnhub", finnhub.key, finnhub.rates, clock, leases, share=share, patience_s=patience_s
        )
        return FinnhubClient(finnhub, clock, gate)
    if name == "iex" and (iex := settings.iex()):
        # of IEX's data by way of alpaca it is alpaca that counts
        vendor, key = ("alpaca", iex.key_id) if isinstance(iex, AlpacaConfig) else ("tiingo", iex.key)
        gate = _gate(name, vendor, key, iex.rates, clock, leases, share=share, patience_s=patience_s)
        return iex_client(iex, clock, gate)
    raise ConfigInvalid(f"{name} has no key: set {KEYS[name]}")


def _gate(
    provider: ProviderName,
    vendor: str,
    key: SecretStr,
    rates: tuple[tuple[int, float], ...],
    clock: Clock,
    leases: Leases,
    *,
    share: Share,
    patience_s: float,
) -> Gate:
    if not rates:
        return OpenGate()
    windows = tuple(Window(permits, seconds) for permits, seconds in rates)
    budget = Budget(provider, budget_name(vendor, key.get_secret_value()), windows)
    return BudgetGate(budget, share, leases, clock, patience_s=patience_s)
