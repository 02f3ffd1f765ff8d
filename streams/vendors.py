"""From settings to the clients of the vendors that have a key, each behind the budget of its key."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import SecretStr

from domain.clock import Clock
from providers.alpaca.client import AlpacaClient
from providers.alpaca.config import AlpacaConfig
from providers.base import Provider
from providers.capability import Access
from providers.finnhub.client import FinnhubClient
from providers.finnhub.config import FinnhubConfig
from providers.gate import Gate, OpenGate
from providers.iex.client import iex_client
from providers.iex.config import IexConfig
from providers.limits import Budget, BudgetGate, Leases, Share, Window, budget_name
from providers.polygon.client import PolygonClient
from providers.polygon.config import PolygonConfig
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


def accesses(settings: ProviderFields) -> dict[ProviderName, Access]:
    """Return what the key and the plan of each vendor open; a vendor without a key is not in it."""
    configs: dict[ProviderName, PolygonConfig | AlpacaConfig | FinnhubConfig | IexConfig | None] = {
        "polygon": settings.polygon(),
        "alpaca": settings.alpaca(),
        "finnhub": settings.finnhub(),
        "iex": settings.iex(),
    }
    return {name: config.access for name, config in configs.items() if config is not None}


#: makes the gate of a key: vendor who counts, key, rates
MakeGate = Callable[[str, SecretStr, tuple[tuple[int, float], ...]], Gate]


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

    def gate(vendor: str, key: SecretStr, rates: tuple[tuple[int, float], ...]) -> Gate:
        return _gate(name, vendor, key, rates, clock, leases, share=share, patience_s=patience_s)

    return _client(name, settings, clock, gate)


class Vendors:
    """The clients of all vendors that have a key."""

    def __init__(
        self,
        settings: ProviderFields,
        clock: Clock,
        leases: Leases,
        *,
        share: Share,
        patience_s: float = 0.0,
    ) -> None:
        """Make them, see `client`; they connect to nothing before the first request."""
        self.accesses = accesses(settings)
        self.clients: dict[ProviderName, Provider] = {}
        self._gates: list[BudgetGate] = []
        for name in self.accesses:

            def gate(
                vendor: str, key: SecretStr, rates: tuple[tuple[int, float], ...], name: ProviderName = name
            ) -> Gate:
                made = _gate(name, vendor, key, rates, clock, leases, share=share, patience_s=patience_s)
                if isinstance(made, BudgetGate):
                    self._gates.append(made)
                return made

            self.clients[name] = _client(name, settings, clock, gate)

    async def close(self) -> None:
        """Close all connections, and wait until other workers know what the vendors said of limits."""
        for vendor in self.clients.values():
            await vendor.close()
        for gate in self._gates:
            await gate.close()


def _client(name: ProviderName, settings: ProviderFields, clock: Clock, gate: MakeGate) -> Provider:
    if name == "polygon" and (polygon := settings.polygon()):
        return PolygonClient(polygon, clock, gate("polygon", polygon.key, polygon.rates))
    if name == "alpaca" and (alpaca := settings.alpaca()):
        return AlpacaClient(alpaca, clock, gate("alpaca", alpaca.key_id, alpaca.rates))
    if name == "finnhub" and (finnhub := settings.finnhub()):
        return FinnhubClient(finnhub, clock, gate("finnhub", finnhub.key, finnhub.rates))
    if name == "iex" and (iex := settings.iex()):
        # of IEX's data by way of alpaca it is alpaca that counts
        vendor, key = ("alpaca", iex.key_id) if isinstance(iex, AlpacaConfig) else ("tiingo", iex.key)
        return iex_client(iex, clock, gate(vendor, key, iex.rates))
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
