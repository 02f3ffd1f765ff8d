"""What we lean on inside Faust, mode and aiokafka is still there, and still does what we think it does.

The versions are pinned to the patch; whoever moves a pin runs this first, then reads the sources again.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import tomllib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import Fetcher, PartitionRecords
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.producer.sender import Sender, SendProduceReqHandler
from faust.app.base import BootStrategy
from faust.sensors.monitor import Monitor
from faust.tables.recovery import Recovery
from faust.transport import conductor
from faust.transport.consumer import Consumer, ThreadDelegateConsumer
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP, ConsumerMessage, Message
from mode import Service
from mode.threads import QueueServiceThread
from mode.utils.queues import FlowControlQueue, ThrowableQueue

from streams.app import Boot, MarketApp
from streams.chunk_queue import ChunkQueue, ChunkTopic
from streams.chunks import ChunkMessage, ChunkScheduler, ChunkSchema
from streams.consumer_thread import ChunkThread
from streams.output import Output, pace_metadata
from streams.raw_records import RawRecords
from streams.transport import ChunkConsumer, Transport
from tests.unit.streams.consumers import TICKS, TickApp, driven_consumer, piece, tenure

ROOT = Path(__file__).parents[2]
PINNED = ("faust-streaming", "mode-streaming", "aiokafka")

#: classes of ours, and where what they override comes from
HEIRS = [
    (ChunkThread, driver.AIOKafkaConsumerThread),
    (ChunkConsumer, driver.Consumer),
    (ChunkScheduler, DefaultSchedulingStrategy),
    (ChunkSchema, faust.Schema),
    (ChunkQueue, ThrowableQueue),
    (ChunkTopic, faust.Topic),
    (Boot, BootStrategy),
    (MarketApp, faust.App),
    (Output, Service),
]

#: what a topic says of itself beside its queue
SAID_OF_TOPICS = (
    "topics", "pattern", "partitions", "retention", "compacting", "deleting", "replicas", "acks", "internal",
    "config", "has_prefix", "allow_empty", "key_serializer", "value_serializer", "key_type", "value_type",
)  # fmt: skip

#: what is called or set on their objects -> its parameters; None: an attribute that their source assigns
LEANED_ON: list[tuple[type, str, str | None]] = [
    (driver.AIOKafkaConsumerThread, "_create_worker_consumer", "self, transport"),
    (driver.AIOKafkaConsumerThread, "_ensure_consumer", "self"),
    (QueueServiceThread, "call_thread", "self, fun, args, kwargs"),
    (ThreadDelegateConsumer, "_new_consumer_thread", "self"),
    (ThreadDelegateConsumer, "_thread", None),
    (ThreadDelegateConsumer, "assignment", "self"),
    (ThreadDelegateConsumer, "highwater", "self, tp"),
    (driver.Consumer, "_to_message", "self, tp, record"),
    (Consumer, "perform_seek", "self"),
    (Consumer, "seek_to_committed", "self"),
    (Consumer, "seek", "self, partition, offset"),
    (Consumer, "commit", "self, topics, start_new_transaction"),
    (Consumer, "stop_flow", "self"),
    (Consumer, "on_partitions_revoked", "self, revoked"),
    (Consumer, "on_buffer_full", "self, tp"),
    (Consumer, "on_buffer_drop", "self, tp"),
    (Consumer, "_filter_tps_with_pending_acks", "self, topics"),
    (Consumer, "getmany", "self, timeout"),
    (Consumer, "_wait_next_records", "self, timeout"),
    (Consumer, "_get_active_partitions", "self"),
    (Consumer, "_new_offset", "self, tp"),
    (Consumer, "_add_gap", "self, tp, offset_from, offset_to"),
    (Consumer, "callback", None),
    (Consumer, "scheduler", None),
    (Consumer, "flow_active", None),
    (Consumer, "_acked", None),
    (Consumer, "_acked_index", None),
    (Consumer, "_committed_offset", None),
    (Consumer, "_read_offset", None),
    (Consumer, "_buffered_partitions", None),
    (AIOKafkaConsumer, "seek", "self, partition, offset"),
    (AIOKafkaConsumer, "seek_to_committed", "self, partitions"),
    (AIOKafkaConsumer, "beginning_offsets", "self, partitions"),
    (AIOKafkaConsumer, "end_offsets", "self, partitions"),
    (AIOKafkaConsumer, "committed", "self, partition"),
    (AIOKafkaConsumer, "_fetch_min_bytes", None),
    (AIOKafkaConsumer, "_fetch_max_wait_ms", None),
    (AIOKafkaConsumer, "_client", None),
    (PartitionRecords, "_consumer_record", "self, tp, record"),
    (AIOKafkaProducer, "client", None),
    (AIOKafkaProducer, "create_batch", "self"),
    (AIOKafkaProducer, "send_batch", "self, batch, topic, partition"),
    (AIOKafkaProducer, "_sender", None),
    (Sender, "sender_task", None),
    (AIOKafkaClient, "force_metadata_update", "self"),
    (faust.App, "_create_directories", "self"),
    (faust.App, "on_start", "self"),
    (faust.App, "on_shutdown", "self"),
    (faust.App, "create_event", "self, key, value, headers, message"),
    (Service, "crash", "self, reason"),
    (Service, "_crash", "self, reason"),
    (Service, "sleep", "self, n"),
]


def source(thing: Any) -> str:
    """Return the source of something of theirs, without its white space."""
    return re.sub(r"\s+", "", inspect.getsource(thing))


def parameters(function: Callable[..., Any]) -> str:
    return ", ".join(inspect.signature(function).parameters)


@pytest.mark.parametrize("name", PINNED)
def test_the_installed_version_is_the_pinned_one(name):
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"{name}=={version(name)}" in wanted
    for lock in (ROOT / "requirements").glob("*.lock"):
        assert re.search(rf"^{name}=={re.escape(version(name))}\b", lock.read_text(), re.MULTILINE), lock.name


@pytest.mark.parametrize(
    ("owner", "name", "wanted"), LEANED_ON, ids=[f"{owner.__name__}.{name}" for owner, name, _ in LEANED_ON]
)
def test_it_is_there_and_takes_what_we_give(owner, name, wanted):
    if wanted is not None:
        assert parameters(getattr(owner, name)) == wanted
    else:
        assert hasattr(owner, name) or re.search(rf"self\.{name}\b(: [^=\n]+)? = ", inspect.getsource(owner))


@pytest.mark.parametrize(("heir", "base"), HEIRS, ids=[heir.__name__ for heir, _ in HEIRS])
def test_what_is_overridden_exists_and_takes_the_same(heir, base):
    overridden = {
        name: f
        for cls in heir.__mro__
        if cls.__module__.startswith("streams.")
        for name, f in vars(cls).items()
        if getattr(f, "__override__", False)
    }
    assert overridden
    for name, function in overridden.items():
        theirs = getattr(base, name, None) or getattr(Service, name, None)
        if theirs is None:
            assert any(name in vars(cls) for cls in heir.__mro__[1:] if cls.__module__.startswith("streams."))
            continue
        assert parameters(function) == parameters(theirs), f"{heir.__name__}.{name}"


def test_every_private_name_that_we_use_is_in_the_list():
    ours: set[str] = set()
    used: set[str] = set()
    for path in [*(ROOT / "streams").glob("*.py"), ROOT / "ops" / "tick_sender.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                ours.add(node.name)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                ours.add(node.target.id)
            elif isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr):
                (ours if isinstance(node.ctx, ast.Store) and _is_self(node) else used).add(node.attr)
    assert used - ours <= {name for _, name, _ in LEANED_ON} | {"_exit"}  # os._exit


def _is_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "self"


# positions and delivery


def test_perform_seek_alone_asks_for_positions_and_notes_them():
    text = source(Consumer.perform_seek)
    assert "_committed_offsets=awaitself.seek_to_committed()" in text
    assert "read_offset.update(" in text
    assert "self._committed_offset.update(committed_offsets)" in text


def test_recovery_seeks_after_each_assignment_before_the_flow_resumes():
    text = source(Recovery._resume_streams)
    seek, resume = text.index("consumer.perform_seek()"), text.index("consumer.resume_flow()")
    assert seek < resume
    assert "timeout=self.app.conf.broker_request_timeout" in text[seek : seek + 80]
    assert "ifassignment:" in text[:seek], "and not without an assignment"
    assert "exceptIllegalStateError" in source(Recovery)


def test_the_drain_loop_takes_the_callback_and_the_fetch_from_the_consumer():
    text = source(Consumer._drain_messages)
    assert "callback=self.callback" in text
    assert "ifr_offsetisNoneoroffset>=r_offset:" in text, "it drops what lies below what it read"
    assert "self.wait_first(callback(message),self.suspend_flow.wait())" in text
    getmany = source(Consumer.getmany)
    assert "records,active_partitions=awaitself._wait_next_records(timeout)" in getmany
    assert "records_it=self.scheduler.iterate(records)" in getmany
    assert "yieldtp,to_message(tp,record)" in getmany, "one by one: the tenure may change in between"


def test_committing_goes_by_new_offset_over_what_was_acked():
    assert "offset=self._new_offset(tp)" in source(Consumer._filter_committable_offsets)
    assert "list(self._filter_tps_with_pending_acks(topics))" in source(Consumer.force_commit)
    assert "committed=self._committed_offset[tp]" in source(Consumer._should_commit)
    ack = source(Consumer.ack)
    assert "message.acked=True" in ack
    assert "acked_for_tp=self._acked[tp]" in ack


def test_revoking_forgets_the_acknowledgements_then_waits_for_what_is_in_flight():
    text = source(Consumer.on_partitions_revoked)
    assert text.index("self._acked.pop(tp,None)") < text.index("self._on_partitions_revoked")
    assert "self._read_offset.pop(tp,None)" in text


def test_a_message_is_acknowledged_through_its_consumer_once():
    message = ConsumerMessage("t", 0, 1, 0.0, 1, None, None, b"", None)
    calls = []

    class Ack:
        def ack(self, acked: Any) -> bool:
            calls.append(acked)
            return True

    message.incref(2)
    message.ack(Ack())  # type: ignore[arg-type]
    assert calls == []
    message.ack(Ack())  # type: ignore[arg-type]
    assert calls == [message]
    assert set(ChunkMessage.__slots__).isdisjoint(Message.__slots__)


def test_faust_notes_that_a_partition_goes_on_and_complains_of_the_others():
    assert "self.stream_inbound_time[tp]=monotonic()" in source(Monitor.on_stream_event_in)
    complaint = source(driver.AIOKafkaConsumerThread.verify_event_path)
    assert "inbound=monitor.stream_inbound_time.get(tp)" in complaint


def test_a_full_buffer_takes_the_partition_out_of_the_fetch():
    text = source(conductor.ConductorCompiler.build)
    assert "consumer_on_buffer_full(tp)" in text
    assert "consumer_on_buffer_drop(tp)" in text
    assert "message.incref(channels_n)" in text


async def test_a_consumer_is_made_with_our_thread_scheduler_and_callback():
    app = TickApp()
    consumer, _ = driven_consumer(app)
    assert type(consumer) is ChunkConsumer
    assert isinstance(consumer.scheduler, ChunkScheduler)
    assert consumer.callback == consumer._on_delivery
    assert consumer._acked == {}
    assert consumer._acked_index == {}
    assert consumer._committed_offset[TP(TICKS, 0)] is None
    assert consumer._read_offset[TP(TICKS, 0)] is None
    assert consumer._buffered_partitions == set()


def test_the_transport_is_registered_under_its_name():
    assert TRANSPORTS.by_name("chunked") is Transport
    assert issubclass(Transport, driver.Transport)


# the fetch


async def test_the_fetch_settings_are_those_that_the_fetcher_is_built_from(monkeypatch):
    app = TickApp()
    thread = app.chunk_consumer._thread
    thread.thread_loop.close()
    monkeypatch.setattr("streams.raw_records.install", lambda topics: None)
    consumer = thread._create_worker_consumer(cast(Transport, app.transport))
    consumer._closed = True  # never started
    assert (consumer._fetch_min_bytes, consumer._fetch_max_wait_ms) == (28_672, 50)
    started = source(AIOKafkaConsumer.start)
    assert "fetch_min_bytes=self._fetch_min_bytes" in started
    assert "fetch_max_wait_ms=self._fetch_max_wait_ms" in started
    assert "fetch_max_wait_ms=1500" in source(driver.AIOKafkaConsumerThread._create_worker_consumer)


def test_the_fetcher_takes_partition_records_from_its_module():
    assert callable(fetcher.PartitionRecords), "where `raw_records.install` puts ours"
    assert "partition_records=PartitionRecords(" in source(Fetcher)
    unpack = source(PartitionRecords._unpack_records)
    assert "consumer_record=self._consumer_record(tp,record)" in unpack
    assert "self.next_fetch_offset=record.offset+1" in unpack
    # the base class begins to iterate in its constructor, lazily: ours replaces the method before that
    assert issubclass(RawRecords, PartitionRecords)
    assert "self._records_iterator=self._unpack_records()" in source(PartitionRecords.__init__)


# the app


def test_the_services_of_the_app_and_their_order():
    calls = re.findall(r"self\.(\w+)\(\)", inspect.getsource(BootStrategy.server))
    assert calls == [
        "sensors",
        "kafka_producer",
        "web_server",
        "kafka_consumer",
        "agents",
        "kafka_conductor",
        "tables",
    ]
    ours = re.findall(r"self\.(\w+)\(\)", inspect.getsource(Boot.server))
    assert ours == calls


def test_the_folders_are_made_where_we_prevent_it():
    assert "self._create_directories()" in source(faust.App.on_first_start)


async def test_every_clone_of_a_chunk_topic_shares_our_queue():
    app = TickApp()
    topic = app.chunk_topic("other", restore=lambda stored: (None, 0), max_records=20)
    agent = app.agent(topic)(_ignore)
    read = cast(Any, aiter(agent.stream().channel))  # as its actor reads it, by way of three clones
    assert read is not topic
    assert isinstance(read.queue, ChunkQueue)
    assert read.queue is topic.queue
    assert read.queue.maxsize == 20
    assert app.has_room("other")
    read.queue.put_nowait(cast(Any, SimpleNamespace(value=[piece(tenure(TP("other", 0), 0), 0, 20)])))
    assert not app.has_room("other")
    ours, theirs = topic, app.topic("other", schema=ChunkSchema())
    assert {name: value for name, value in vars(ours).items() if name in SAID_OF_TOPICS} == {
        name: value for name, value in vars(theirs).items() if name in SAID_OF_TOPICS
    }, "App.topic takes no queue; otherwise it makes the same"


async def _ignore(stream):
    """Stand for an agent."""


def test_pressure_is_told_by_size_and_keeps_back_a_broker_for_a_tenth_of_a_second():
    told = source(FlowControlQueue.in_pressure_high_state)
    assert "qsize=self.qsize()" in told
    assert "ifqsize>=pressure_high_size:" in told
    assert "math.floor(self.maxsize/self.pressure_high_ratio)" in source(FlowControlQueue)
    assert FlowControlQueue.pressure_high_ratio == 1.25
    # why the queue is bounded in records (ADR 0017)
    actions = source(Fetcher._get_actions_per_node)
    assert "ifnode_idinbackoff_by_nodes:#Atleastonepartitionisstillwaitingtobeconsumedcontinue" in actions
    assert "prefetch_backoff=0.1" in source(Fetcher.__init__)


def test_the_loop_makes_tasks_of_each_message_that_getmany_yields():
    drain = source(Consumer._drain_messages)
    assert "asyncfortp,messageinait:" in drain
    assert "awaitself.wait_first(callback(message),self.suspend_flow.wait())" in drain
    # a slice that goes past it waits for nothing: this lock is held by a new subscription only
    lock = "asyncwithself._tp_to_callback_lock:"
    assert lock in source(conductor.Conductor._update_indices)
    held = source(conductor.Conductor).count(lock)
    assert held == 1 + source(conductor.Conductor._compile_message_handler).count(lock)


# the producer


def test_the_sender_asks_for_metadata_through_the_client_of_the_producer():
    routine = source(Sender._sender_routine)
    assert "fut=self.client.force_metadata_update()" in routine
    assert "waiters.add(fut)" in routine, "it waits for what it gets: a task will do"
    assert "self._client.force_metadata_update()" in source(SendProduceReqHandler)


def test_an_idempotent_producer_gives_no_batch_up_so_the_limit_is_ours():
    assert "ifself._sender._txn_managerisNoneandbatch.expired():" in source(SendProduceReqHandler._can_retry)
    stop = source(AIOKafkaProducer.stop)
    assert "self._message_accumulator.close()" in stop
    assert "self._sender.sender_task" in stop
    assert "return_when=asyncio.FIRST_COMPLETED" in stop, "so that ending the sender ends the wait"
    assert "awaitself.flush()" in source(MessageAccumulator.close)


async def test_the_pace_of_metadata_is_set_on_a_real_client():
    producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1")
    try:
        before = producer.client.force_metadata_update
        pace_metadata(producer.client)
        assert producer.client.force_metadata_update is not before
        update = producer.client.force_metadata_update()
        assert asyncio.isfuture(update)
        update.cancel()
    finally:
        producer._closed = True
