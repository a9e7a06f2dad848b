"""What the Kafka tests share: streams with topics of their own, records, sinks that are let go at the end."""

import itertools
import os
import uuid
from collections.abc import Sequence
from typing import Any

from relay.config import CreateTopicsConfig, KafkaConfig
from relay.domain.envelope import StreamEnvelope, Topics
from relay.domain.report import Entry, EntryType, Origin, Stream
from relay.ports import Record
from relay.sinks.kafka import KafkaSink, topics_of

STREAM = Stream("acme", "sms")
NOW_MS = 1_700_000_000_000
ONE_BROKER = CreateTopicsConfig(partitions=3, replication_factor=1)

_numbers = itertools.count()


class Place:
    """One stream of one journal with topics, transactional id and group that no other test has."""

    def __init__(self, bootstrap_servers: str, *, stream: Stream = STREAM, **config: Any) -> None:
        self.name = f"t{os.getpid()}x{next(_numbers)}"
        self.journal_id = str(uuid.uuid4())
        self.stream = stream
        self.config = KafkaConfig(
            **{
                "bootstrap_servers": bootstrap_servers,
                "id_prefix": self.name,
                "topic": self.name + ".{kind}.reports",
                "revisions_topic": self.name + ".{kind}.revisions",
                "quarantine_topic": f"{self.name}.quarantine",
                "cursor_topic": f"{self.name}.cursors",
                "create_topics": ONE_BROKER,
            }
            | config
        )
        self._sinks: list[KafkaSink] = []

    @property
    def topics(self) -> Topics:
        return topics_of(self.config, self.stream.kind)

    @property
    def group(self) -> str:
        return f"{self.config.id_prefix}.{self.journal_id}.{self.stream.source}.{self.stream.kind}"

    @property
    def envelope(self) -> StreamEnvelope:
        return StreamEnvelope(self.stream, self.journal_id, self.topics, revisions_inline=False)

    def via(self, bootstrap_servers: str) -> "Place":
        """The same stream reached by another address."""
        return self.changed(bootstrap_servers=bootstrap_servers)

    def changed(self, **config: Any) -> "Place":
        """The same stream with another configuration."""
        other = Place.__new__(Place)
        other.name, other.journal_id, other.stream = self.name, self.journal_id, self.stream
        other.config = self.config.model_copy(update=config)
        other._sinks = self._sinks
        return other

    def sink(self, *, deadline_seconds: float = 20.0) -> KafkaSink:
        sink = KafkaSink(
            self.stream,
            self.config,
            journal_id=self.journal_id,
            revisions_inline=False,
            deadline_seconds=deadline_seconds,
        )
        self._sinks.append(sink)
        return sink

    async def open_sink(self, *, deadline_seconds: float = 20.0) -> KafkaSink:
        sink = self.sink(deadline_seconds=deadline_seconds)
        await sink.open()
        return sink

    async def let_go(self) -> None:
        for sink in self._sinks:
            await sink.abandon()

    def records(self, seqs: Sequence[int], *, value: bytes = b'{"messageId":"x"}') -> list[Record]:
        envelope = self.envelope
        return envelope.records([entry(seq, value=value) for seq in seqs])


def entry(seq: int, *, value: bytes = b'{"messageId":"x"}', message_id: str = "") -> Entry:
    return Entry(seq, EntryType.REPORT, message_id or f"m-{seq}", 1, Origin.POLL, NOW_MS + seq, 3, value)
