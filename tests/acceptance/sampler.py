"""Watches committed <= stored <= end while workers run."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import psycopg
from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.invariants import Position

if TYPE_CHECKING:
    from tests.acceptance.rig import Rig

PERIOD_S = 0.1


class Sampler:
    """A thread that looks ten times a second; use it as a context manager.

    A moment in which broker or database are away gives no sample, and is counted.
    """

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler")
        self.positions: list[Position] = []
        self.away = 0
        self._error: BaseException | None = None

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        consumer = Consumer(
            {
                "bootstrap.servers": self._rig.bootstrap,
                "group.id": self._rig.group,
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        try:
            while not self._stop.wait(PERIOD_S):
                try:
                    self.positions += self._sample(consumer)
                except (KafkaException, psycopg.OperationalError):
                    self.away += 1
        except BaseException as exc:  # noqa: BLE001 - raised again where the test can see it
            self._error = exc
        finally:
            consumer.close()

    def _sample(self, consumer: Consumer) -> list[Position]:
        # in this order: each may only have grown by the time the next is read
        tps = [TopicPartition(self._rig.source, p) for p in range(self._rig.partitions)]
        committed = {tp.partition: tp.offset for tp in consumer.committed(tps, timeout=3)}
        stored = dict(
            self._rig.query("select part, next_offset from sink_offsets where topic = %s", self._rig.source)
        )
        ends = {}
        for tp in tps:
            _, ends[tp.partition] = consumer.get_watermark_offsets(tp, timeout=3)
        return [
            Position(p, committed[p] if committed[p] >= 0 else None, stored.get(p), ends[p])
            for p in range(self._rig.partitions)
        ]
