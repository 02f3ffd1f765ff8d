"""What a feed says of itself: wherever its word is cut off, what is missing was told or is not promised."""

from __future__ import annotations

import pytest

from schemas.trade import Trade
from streams.feed_records import Clock, Entry, Hole
from streams.feed_tail import LastWord
from streams.feed_word import DAY_NS, FeedWord, Said

S = 1_000_000_000
NOW = 1_764_000_000 * S
LATE = 2 * S
SYMBOLS = ("AAPL", "MSFT", "IBM", "TSLA")


class Talk:
    """A vendor whose ticks take a tenth of a second, and answers once a second."""

    def __init__(self, lateness_ns: int = LATE) -> None:
        self.word = FeedWord("polygon", "sip", lateness_ns)
        self.second = 0
        self.entries: list[Entry] = []
        self.unheard: list[int] = []
        """Event times of IBM's ticks that did not come."""

    @property
    def now_ns(self) -> int:
        return NOW + self.second * S

    def goes_on(self, seconds: int, *, mute: tuple[str, ...] = ()) -> Said:
        """Let seconds pass; return what the last answer brought."""
        said = Said()
        for _ in range(seconds):
            self.second += 1
            at = self.now_ns - S // 2
            self.word.heard([tick(s, at) for s in SYMBOLS if s not in mute])
            if "IBM" in mute:
                self.unheard.append(at)
            said = self.word.answered(self.now_ns, float(self.second))
            self.entries += said.entries
            if said.mute:
                break
        return said


def tick(symbol: str, at_ns: int) -> Trade:
    return Trade(symbol, at_ns, 1.0, 1.0, "polygon", "sip", ts_recv=at_ns + S // 10)


def holes(entries: list[Entry]) -> list[Hole]:
    return [entry for entry in entries if isinstance(entry, Hole)]


def clocks(entries: list[Entry]) -> list[int]:
    return [entry.tick.ts_event for entry in entries if isinstance(entry, Clock)]


def bounds(hole: Hole) -> tuple[int, int]:
    return hole.told.ts_from, hole.told.ts_event


def told(entries: list[Entry], symbol: str, at_ns: int, lateness_ns: int = LATE) -> bool:
    """Whether a tick of a symbol is within a hole, or in that of a successor: it begins at the last clock."""
    return at_ns >= max(clocks(entries), default=0) - lateness_ns or any(
        hole.told.ts_from <= at_ns <= hole.told.ts_event
        for hole in holes(entries)
        if not hole.symbols or symbol in hole.symbols
    )


def test_every_answer_brings_a_clock_and_nothing_else() -> None:
    talk = Talk()
    talk.goes_on(20)
    assert holes(talk.entries) == []
    assert clocks(talk.entries) == [NOW + n * S - S // 10 for n in range(1, 21)]


def test_before_the_first_tick_there_is_no_promise() -> None:
    word = FeedWord("polygon", "sip", LATE)
    assert word.answered(NOW, 1.0).entries == []
    assert word.promised_ns == 0


def test_a_start_knows_nothing_of_a_time_before() -> None:
    word = FeedWord("polygon", "sip", LATE)
    (hole,) = holes(word.resumed(word.inherit(None), NOW))
    assert bounds(hole) == (NOW - DAY_NS, NOW)
    assert hole.told.reason.startswith("start")


def test_a_takeover_begins_at_the_predecessors_promise() -> None:
    word = FeedWord("polygon", "sip", LATE)
    (hole,) = holes(word.resumed(word.inherit(LastWord(NOW - 30 * S, 5 * S)), NOW))
    # the vendor is five seconds behind, less the doubt about that
    assert bounds(hole) == (NOW - 30 * S - LATE, NOW - 4 * S)
    assert hole.told.reason == "takeover"


def test_a_lost_connection_is_told_from_the_last_promise_on() -> None:
    talk = Talk()
    talk.goes_on(5)
    promised = talk.word.promised_ns
    (hole,) = holes(talk.word.resumed("connection lost: reset", talk.now_ns + 9 * S))
    assert bounds(hole) == (promised - LATE, talk.now_ns + 9 * S)
    assert hole.symbols == ()


def test_what_cannot_be_read_is_told_once_an_answer_and_before_its_clock() -> None:
    talk = Talk()
    talk.goes_on(5)
    promised = talk.word.promised_ns
    for _ in range(3):
        talk.word.unreadable("p: no number\n\x00")
    said = talk.goes_on(1)
    hole, clock = said.entries
    assert isinstance(hole, Hole)
    assert isinstance(clock, Clock)
    assert bounds(hole)[0] == promised - LATE
    assert hole.told.reason == "a message cannot be read: p: no number??"
    assert holes(talk.goes_on(3).entries) == []


def test_a_mute_symbol_is_asked_for_again_once_and_told_until_it_is_back() -> None:
    talk = Talk()
    talk.goes_on(60)
    begun = talk.second
    while not (said := talk.goes_on(1, mute=("IBM",))).again:
        assert talk.second < begun + 30
    assert said.again == ("IBM",)
    first = holes(said.entries)[0]
    assert (first.symbols, first.told.reason) == (("IBM",), "mute: IBM")
    assert bounds(first)[0] <= talk.unheard[0]
    for _ in range(20):
        said = talk.goes_on(1, mute=("IBM",))
        assert said.again == ()
        assert [hole.symbols for hole in holes(said.entries)] == [("IBM",)]
    assert [hole.symbols for hole in holes(talk.goes_on(1).entries)] == [("IBM",)]
    assert holes(talk.goes_on(1).entries) == []
    assert all(told(talk.entries, "IBM", at) for at in talk.unheard)


@pytest.mark.parametrize("lateness_ns", [0, LATE])
def test_wherever_it_is_cut_off_once_a_symbol_is_known_to_be_mute_its_ticks_are_told(
    lateness_ns: int,
) -> None:
    talk = Talk(lateness_ns)
    talk.goes_on(60)
    talk.goes_on(40, mute=("IBM",))
    first = talk.entries.index(holes(talk.entries)[0])
    for cut in range(first, len(talk.entries)):
        entries = talk.entries[: cut + 1]
        # of what did not come before the last entry was said
        latest = max(max(clocks(entries)), holes(entries)[-1].told.ts_event)
        missed = [at for at in talk.unheard if at <= latest]
        assert [at for at in missed if not told(entries, "IBM", at, lateness_ns)] == [], cut


@pytest.mark.parametrize("mute", [SYMBOLS, SYMBOLS[:3]])
def test_a_mute_connection_is_told_at_once_and_not_promised_on(mute: tuple[str, ...]) -> None:
    talk = Talk()
    talk.goes_on(60)
    said = talk.goes_on(120, mute=mute)
    assert said.mute.startswith("mute: ")
    assert clocks(said.entries) == []
    (hole,) = holes(said.entries)
    assert hole.symbols == ()
    assert all(told(talk.entries, "IBM", at) for at in talk.unheard)
    # and what follows until the next connection stands, from the last tick on
    (again,) = [h for h in holes(talk.word.resumed("connection lost", talk.now_ns + 5 * S)) if not h.symbols]
    assert bounds(again)[0] <= bounds(hole)[1]
    assert bounds(again)[1] == talk.now_ns + 5 * S


def test_a_symbol_that_is_mute_when_the_connection_ends_is_told_with_the_next() -> None:
    talk = Talk()
    talk.goes_on(60)
    talk.goes_on(30, mute=("IBM",))
    everywhere, ibm = holes(talk.word.resumed("connection lost", talk.now_ns + 3 * S))
    assert everywhere.symbols == ()
    assert ibm.symbols == ("IBM",)
    talk.word.connected()
    assert holes(talk.goes_on(30).entries) == []


def test_slow_consumers_own_up() -> None:
    talk = Talk()
    talk.goes_on(5)
    hole = talk.word.lost("slow consumer: the socket was not read for 9.0 s", talk.now_ns)
    assert bounds(hole) == (talk.word.promised_ns - LATE, talk.now_ns)
