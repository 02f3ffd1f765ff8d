"""How a demo ended: what was sent, where it is, and whether that is everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.demo.readings import Readings
from sandbox.demo.view import dropped


@dataclass(frozen=True, slots=True)
class Summary:
    """Numbers of the end, after everything on its way has arrived or its time was up."""

    first_candle_s: float | None
    """Seconds from the start to the first candle in the database."""
    sent: int
    """Trades that the broker acknowledged, the bad ones among them."""
    spoilt: int
    """The bad ones."""
    readings: Readings
    differences: Sequence[str]
    """Candles that are not as an independent fold has them, a sentence each."""

    @property
    def unaccounted(self) -> int:
        """Trades that are neither in a candle nor a dead letter; below 0: counted twice."""
        return self.sent - self.readings.trades_in_candles - self.readings.dead_letters

    @property
    def problems(self) -> list[str]:
        """What is not as it must be, a sentence each."""
        readings, problems = self.readings, []
        if self.unaccounted:
            problems.append(
                f"{abs(self.unaccounted):,} of {self.sent:,} trades are "
                f"{'missing' if self.unaccounted > 0 else 'counted twice'}: {readings.trades_in_candles:,} "
                f"stored, {readings.dead_letters:,} dead-lettered"
            )
        if readings.dead_letters != self.spoilt:
            problems.append(f"{readings.dead_letters:,} dead letters, but {self.spoilt:,} records were bad")
        if readings.waiting:
            problems.append(f"{readings.waiting:,} records wait to be stored")
        if readings.lost:
            problems.append(dropped(readings))
        return problems + list(self.differences)

    @property
    def exit_code(self) -> int:
        """1 if anything is not as it must be."""
        return 1 if self.problems else 0

    def lines(self) -> list[str]:
        """Return it as lines for people."""
        readings, stored = self.readings, self.readings.trades_in_candles
        first = f"after {self.first_candle_s:.1f} s" if self.first_candle_s is not None else "none"
        said = [
            f"first candle   {first}",
            f"sent           {self.sent:,} trades, {self.spoilt:,} of them bad on purpose",
            (
                f"stored         {stored:,} trades in {readings.candles:,} candles, "
                f"{readings.candles_revised:,} of them revised by late trades"
            ),
            f"dead letters   {readings.dead_letters:,}",
        ]
        if readings.dropped and not readings.lost:
            said.append(f"broker         {dropped(readings)}")
        if self.problems:
            return said + [f"NOT RIGHT      {problem}" for problem in self.problems]
        return [
            *said,
            (
                f"every trade accounted for: {self.sent:,} sent = {stored:,} stored + "
                f"{readings.dead_letters:,} dead-lettered"
            ),
            f"all {readings.candles:,} candles equal a second, independent fold of what was sent",
        ]
