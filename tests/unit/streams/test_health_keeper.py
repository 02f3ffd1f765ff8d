"""The owner of a provider's outcomes: what it publishes and when, what a successor goes on from."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.provider_state import fold, fresh
from schemas.outcome import ProviderOutcome
from schemas.provider_health import ProviderHealth
from streams import health_keeper
from streams.health_keeper import PACE_S
from streams.outcomes import home
from streams.provider_table import forget
from streams.routing_fields import health_rules
from streams.settings import Settings
from tests.unit.domain.outcomes import outcome
from tests.unit.streams.consumers import Record
from tests.unit.streams.keepers import DEFAULTS, PARTITIONS, START_S, Broker, Worker

P = home("polygon", PARTITIONS)
EVERY = range(PARTITIONS)
AWAY = outcome("away", detail="503 Service Unavailable")


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def worker(broker: Broker) -> Worker:
    worker = Worker(broker)
    worker.deal(1, *EVERY)
    return worker


def published(broker: Broker) -> list[ProviderHealth]:
    return [ProviderHealth.model_validate_json(r.value) for r in broker.table if r.value]


def truth(outcomes: list[ProviderOutcome]) -> ProviderHealth:
    """What outcomes of one provider come to, folded once each, all in the first moment."""
    now = int(START_S * 1e9)
    health = fresh(outcomes[0].provider, now, partition=home(outcomes[0].provider, PARTITIONS))
    for n, one in enumerate(outcomes):
        health = fold(health, one, health_rules(DEFAULTS), now_ns=now, position=n + 1)
    return health


def essence(health: ProviderHealth) -> dict[str, object]:
    """All of a record but who made it when."""
    return health.model_dump(exclude={"worker", "ts", "history"})


def test_rules_are_those_of_the_settings():
    chosen = Settings(
        _env_file=None,
        breaker_demote_threshold=0.1,
        breaker_promote_threshold=0.2,
        recent_latency_cap_ms=3.0,
        health_window_s=4.0,
        health_weights=(0.4, 0.3, 0.2, 0.1),
        breaker_trip_failures=5,
        breaker_cooldown_s=6.0,
        breaker_min_samples=7,
    )
    rules = health_rules(chosen)
    assert [getattr(rules, name) for name in rules.__slots__] == [
        0.1, 0.2, 3.0, 4.0, (0.4, 0.3, 0.2, 0.1), 5, 6.0, 7,
    ]  # fmt: skip


async def test_an_outcome_is_acknowledged_when_a_record_with_it_is_published(broker, worker):
    broker.append(*[outcome()] * 5)
    await worker.deliver()
    assert (broker.table, worker.unacknowledged()) == ([], 5)
    await worker.step()
    (record,) = published(broker)
    assert (record.provider, record.partition, record.position, record.worker) == ("polygon", P, 5, "w1")
    assert len(record.samples) == 5
    assert worker.unacknowledged() == 0
    assert broker.committed[P] == 5
    assert worker.counters.providers.outcomes_folded == 5


async def test_a_record_says_what_it_is(broker, worker):
    broker.append(outcome())
    await worker.deliver()
    await worker.step()
    assert broker.table[0].key == b"polygon"
    assert dict(broker.table[0].headers) == {
        "content-type": b"application/json",
        "schema": b"provider-health.v1",
    }


async def test_outcomes_are_published_at_a_pace(broker, worker):
    broker.append(outcome())
    await worker.deliver()
    await worker.step()
    for _ in range(4):
        broker.append(outcome())
        await worker.deliver()
        await worker.step(PACE_S / 5)
    assert (len(broker.table), worker.unacknowledged()) == (1, 4)
    await worker.step(PACE_S / 5)
    assert [record.position for record in published(broker)] == [1, 5]
    assert worker.unacknowledged() == 0


async def test_nothing_new_is_not_published(broker, worker):
    broker.append(outcome())
    await worker.deliver()
    for _ in range(20):
        await worker.step(0.2)
    assert len(broker.table) == 1


async def test_a_change_of_state_is_published_at_once(broker, worker):
    broker.append(outcome())
    await worker.deliver()
    await worker.step()
    broker.append(AWAY, AWAY, AWAY)
    await worker.deliver()
    assert worker.keeper._urgent.is_set()
    await worker.step(0.001)
    assert [record.state for record in published(broker)] == ["closed", "open"]
    assert worker.table.standings()["polygon"].fit is False


async def test_time_alone_makes_it_half_open(broker, worker):
    broker.append(AWAY, AWAY, AWAY)
    await worker.deliver()
    await worker.step()
    retry_at = published(broker)[-1].retry_at
    assert retry_at is not None
    await worker.step(retry_at / 1e9 - worker.clock.seconds - 0.01)
    assert published(broker)[-1].state == "open"
    await worker.step(0.02)
    assert published(broker)[-1].state == "half_open"


async def test_a_successor_goes_on_from_the_record(broker):
    first, second = Worker(broker, "w1"), Worker(broker, "w2")
    first.deal(1, *EVERY)
    outcomes = [outcome(how) for how in ("ok", "away", "ok", "away", "empty", "away", "ok")]
    broker.append(*outcomes[:4])
    await first.deliver()
    await first.step()
    broker.append(*outcomes[4:])
    await first.deliver()  # folded, not published, not acknowledged: and now it is gone
    broker.committed[P] = 2  # Kafka's offset lags behind
    second.deal(2, *EVERY)
    await second.deliver()
    await second.step()
    assert essence(published(broker)[-1]) == essence(truth(outcomes))
    assert published(broker)[-1].worker == "w2"
    assert second.counters.providers.outcomes_folded == 3
    assert broker.committed[P] == 7


async def test_a_successor_that_has_nothing_to_fold_says_that_it_is_there(broker):
    first, second = Worker(broker, "w1"), Worker(broker, "w2")
    first.deal(1, *EVERY)
    broker.append(outcome())
    await first.deliver()
    await first.step()
    second.deal(2, *EVERY)
    for _ in range(10):
        await second.step(0.1)
    assert [record.worker for record in published(broker)] == ["w1", "w2"]


async def test_the_table_is_read_to_its_end_before_anything_is_folded(broker):
    first, second = Worker(broker, "w1"), Worker(broker, "w2")
    first.deal(1, *EVERY)
    broker.append(*[outcome()] * 3)
    await first.deliver()
    await first.step()
    assert second.table.version == 0, "it has not followed yet"
    broker.committed[P] = 0
    second.deal(2, *EVERY)
    await second.deliver()
    assert second.counters.providers.outcomes_folded == 0
    assert len(second.keeper.kept["polygon"].samples) == 3


async def test_without_the_end_of_the_table_nothing_is_folded(broker, worker, monkeypatch):
    monkeypatch.setattr(health_keeper, "RETRY_S", 0.001)
    broker.append(outcome())
    broker.away = True
    delivering = asyncio.ensure_future(worker.deliver())
    while worker.table.caught_up < 3:
        await asyncio.sleep(0.001)
    assert worker.keeper.kept == {}
    broker.away = False
    await delivering
    assert worker.keeper.kept["polygon"].position == 1


async def test_after_a_rebalance_what_was_not_published_is_folded_again_once(broker, worker):
    broker.append(*[outcome()] * 4)
    await worker.deliver(2)
    await worker.step()
    await worker.deliver(2)
    before = [event for _, event in worker.delivered[P]]
    worker.deal(2, *EVERY)
    await worker.deliver()
    await worker.step(PACE_S)
    assert not any(event.acked for event in before), "the ledger may still have them: a commit would pass"
    assert published(broker)[-1].position == 4
    assert len(published(broker)[-1].samples) == 4


async def test_a_partition_of_somebody_else_is_left_alone(broker):
    worker, other = Worker(broker, "w1"), next(p for p in EVERY if p != P)
    worker.deal(1, *EVERY)
    broker.append(outcome())
    worker.held = {tp for tp in worker.held if tp.partition == other}
    await worker.deliver()
    await worker.step()
    assert (broker.table, dict(worker.keeper.kept)) == ([], {})
    assert broker.committed[P] == 1, "the record must not hold back the commit"


async def test_who_loses_a_partition_keeps_it_no_more(broker, worker):
    broker.append(outcome())
    await worker.deliver()
    await worker.step()
    worker.deal(2)
    await worker.step(PACE_S)
    assert dict(worker.keeper.kept) == {}
    assert len(broker.table) == 1


async def test_a_former_owner_that_was_further_is_caught_up_with(broker):
    former, owner = Worker(broker, "w1"), Worker(broker, "w2")
    former.deal(1, *EVERY)
    broker.append(*[outcome()] * 5)
    await former.deliver()  # and freezes before it publishes
    owner.deal(2, *EVERY)
    await owner.deliver(2)
    await owner.step()
    await former.step()  # thaws
    assert [record.position for record in published(broker)] == [2, 5]
    await owner.table.follow()
    await owner.step(PACE_S)
    assert owner.keeper.kept["polygon"].position == 5
    await owner.deliver()
    await owner.step(PACE_S)
    last = published(broker)[-1]
    assert (last.worker, last.position, len(last.samples)) == ("w2", 5, 5)
    assert broker.committed[P] == 5


async def test_a_record_that_comes_before_the_first_outcome_counts(broker):
    former, owner = Worker(broker, "w1"), Worker(broker, "w2")
    former.deal(1, *EVERY)
    broker.append(*[outcome()] * 3)
    await former.deliver()
    owner.deal(2, *EVERY)
    await owner.step()  # the table is empty yet
    await former.step()
    await owner.table.follow()
    await owner.deliver()
    assert owner.counters.providers.outcomes_folded == 0
    assert (owner.keeper.kept["polygon"].position, len(owner.keeper.kept["polygon"].samples)) == (3, 3)


async def test_a_former_owner_that_was_behind_is_not_believed(broker):
    former, owner = Worker(broker, "w1"), Worker(broker, "w2")
    former.deal(1, *EVERY)
    broker.append(*[outcome()] * 3)
    await former.deliver(2)
    owner.deal(2, *EVERY)
    await owner.deliver()
    await owner.step()
    await former.step()
    for table in (former.table, owner.table):
        await table.follow()
        assert table.health["polygon"].worker == "w2"
        assert table.superseded == 1
        assert table.version == 2


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, b"empty"),
        (b"", b"empty"),
        (b"\xff{", b"deserialize"),
        (b"{}", b"schema"),
        (json.dumps(AWAY.model_dump() | {"provider": "kraken"}).encode(), b"schema"),
    ],
)
async def test_what_is_no_outcome_is_a_dead_letter(broker, worker, value, reason):
    broker.append_raw(P, value)
    broker.append(outcome())
    await worker.deliver()
    await worker.step()
    ((_, kept, headers),) = broker.dead_letters
    said = dict(headers)
    assert (kept, said["dlq.reason"], said["dlq.stage"]) == (value, reason, b"health")
    assert (said["dlq.orig.partition"], said["dlq.orig.offset"]) == (str(P).encode(), b"0")
    assert published(broker)[-1].position == 2
    assert broker.committed[P] == 2
    assert sum(worker.counters.dead_letters.values()) == 1


async def test_an_outcome_in_a_partition_of_another_provider_would_have_two_keepers(broker, worker):
    other = next(p for p in EVERY if p != P)
    broker.append_raw(other, AWAY.model_dump_json().encode())
    await worker.deliver()
    ((_, _, headers),) = broker.dead_letters
    message = dict(headers)["dlq.error.message"]
    assert message == f"provider: outcomes of polygon belong in partition {P}".encode()
    assert dict(worker.keeper.kept) == {}


async def test_outcomes_that_were_laid_out_anew_are_read_from_their_beginning(broker, worker):
    long_ago = truth([outcome()] * 50).model_copy(update={"worker": "w0"})
    broker.table.append(Record(0, long_ago.model_dump_json().encode(), b"polygon"))
    broker.append(outcome())  # offset 0: the topic was made anew
    await worker.deliver()
    await worker.step()
    key, value = forget("polygon")
    assert [(r.key, r.value) for r in broker.table[1:2]] == [(key, value)]
    last = published(broker)[-1]
    assert (last.position, len(last.samples)) == (1, 51)
    assert worker.table.health["polygon"].position == 1


async def test_a_probe_can_be_waited_for(broker, worker):
    waiting = asyncio.ensure_future(worker.keeper.until_folded("polygon", "p-1"))
    for other in (outcome(id="p-1"), outcome(id="p-0", purpose="probe")):
        broker.append(other)
        await worker.deliver()
        await asyncio.sleep(0.01)
        assert not waiting.done(), "another outcome is not the one that is waited for"
    broker.append(outcome(id="p-1", purpose="probe"))
    await worker.deliver()
    await asyncio.wait_for(waiting, 1)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(st.sampled_from(["ok", "away", "empty"]), max_size=6)),
        st.tuples(st.just("deliver"), st.integers(1, 5)),
        st.tuples(st.just("step"), st.none()),
        st.tuples(st.just("die"), st.none()),
        st.tuples(st.just("thaw"), st.integers(0, 3)),
    ),
    max_size=25,
)


@settings(max_examples=80, deadline=None)
@given(STEPS)
async def test_whoever_dies_when_every_outcome_counts_once(steps):
    """Owners die, successors go on, the dead thaw and publish what they knew."""
    broker, outcomes, former = Broker(), list[ProviderOutcome](), list[Worker]()
    owner, generation = Worker(broker, "w0"), 1
    owner.deal(generation, *EVERY)
    for what, how in steps:
        if what == "append":
            new = [outcome(name) for name in how]
            outcomes += new
            broker.append(*new)
        elif what == "deliver":
            await owner.deliver(how)
        elif what == "step":
            await owner.step()
        elif what == "die":
            former.append(owner)
            generation += 1
            owner = Worker(broker, f"w{generation}")
            owner.deal(generation, *EVERY)
        elif former:
            dead = former[how % len(former)]
            await dead.keeper._publish()
    await owner.deliver()
    for _ in range(3):
        await owner.step()
        broker.clock.seconds += 1e-9
        for kept in owner.keeper._kept.values():
            kept.due = 0.0
    if outcomes:
        expected = essence(truth(outcomes))
        assert essence(owner.keeper.kept["polygon"]) == expected
        await owner.table.follow()
        assert essence(owner.table.health["polygon"]) == expected
        late = Worker(broker, "late")
        await late.table.follow()
        assert late.table.health == owner.table.health
