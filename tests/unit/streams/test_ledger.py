"""What may be committed: never past a message that is not acknowledged."""

from __future__ import annotations

from faust.types import TP, Message
from hypothesis import given
from hypothesis import strategies as st

from streams.ledger import OffsetLedger

TP0, TP1 = TP("ticks", 0), TP("ticks", 1)


def message(offset: int, tp: TP = TP0) -> Message:
    return Message(tp.topic, tp.partition, offset, 0.0, 1, None, None, b"", None, tp=tp)


@given(st.data())
def test_any_order_of_acknowledgements_commits_the_acknowledged_head_and_no_more(data):
    steps = data.draw(st.lists(st.integers(1, 5_000), min_size=1, max_size=12))
    messages, at = [], 0
    for step in steps:  # the offset of a slice is that of its last record, so offsets jump
        at += step
        messages.append(message(at))
    ledger, committed = OffsetLedger(), None
    for m in messages:
        ledger.add(m)
    for m in data.draw(st.permutations(messages)):
        m.acked = True
        head = [m for i, m in enumerate(messages) if all(before.acked for before in messages[: i + 1])]
        expected = head[-1].offset + 1 if head else None
        moved = ledger.next_offset(TP0)
        committed = moved if moved is not None else committed
        assert committed == expected
    assert committed == messages[-1].offset + 1


def test_nothing_new_is_nothing_to_commit():
    ledger = OffsetLedger()
    assert ledger.next_offset(TP0) is None
    one = message(4)
    ledger.add(one)
    assert ledger.next_offset(TP0) is None
    one.acked = True
    assert ledger.next_offset(TP0) == 5
    assert ledger.next_offset(TP0) is None


def test_partitions_do_not_wait_for_each_other():
    ledger, slow, fast = OffsetLedger(), message(9, TP0), message(2, TP1)
    ledger.add(slow)
    ledger.add(fast)
    fast.acked = True
    assert (ledger.next_offset(TP0), ledger.next_offset(TP1)) == (None, 3)
    assert sorted(ledger.partitions()) == [TP0, TP1]


def test_a_forgotten_partition_starts_over():
    ledger, old, new = OffsetLedger(), message(99), message(10)
    ledger.add(old)
    ledger.forget(TP0)
    ledger.forget(TP1)  # never seen: nothing to forget
    ledger.add(new)
    old.acked = True  # the acknowledgement of what was delivered before the reset
    assert ledger.next_offset(TP0) is None
    new.acked = True
    assert ledger.next_offset(TP0) == 11
