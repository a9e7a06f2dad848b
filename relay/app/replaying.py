"""Wires what is sent once more: the stage of replays, the routes of replays, dead letters and of a report's life."""

from relay.app.callbacks import Callbacks
from relay.app.ground import Ground, now_ms
from relay.config import KafkaConfig
from relay.domain.report import EntryType, Stream
from relay.sinks.kafka import topics_of
from relay.stages.replay import Replay
from relay.stages.stage import Stage
from relay.web import DeadLetterRoutes, HistoryRoutes, ReplayRoutes


class Replaying:
    """`routes` are there from the beginning; `start` follows when the callbacks are open."""

    def __init__(self, ground: Ground, callbacks: Callbacks) -> None:
        self._ground = ground
        self._callbacks = callbacks
        self._stage: Stage | None = None
        journal = ground.journal
        self.routes = (
            HistoryRoutes(journal, topic_of=self._topic_of),
            DeadLetterRoutes(journal, target_of=callbacks.target_of, stored=callbacks.stored, now_ms=now_ms),
            ReplayRoutes(journal, target_of=callbacks.target_of, wake=self._wake, now_ms=now_ms),
        )

    async def start(self) -> None:
        """Go on with the replays that the journal holds."""
        replay = Replay(
            await self._ground.journal.acquire_lease("replays"),
            journal=self._ground.journal,
            target_of=self._callbacks.target_of,
            stored=self._callbacks.stored,
            now_ms=now_ms,
        )
        self._stage = self._ground.stages.start("replay", "replay", replay.step)

    def _wake(self) -> None:
        """Before it has started there is nothing to wake: it looks by itself."""
        if self._stage is not None:
            self._stage.wake.set()

    def _topic_of(self, stream: Stream, type_: EntryType) -> str | None:
        config = self._ground.config
        if config.kafka is None:
            return None
        return _topic(config.kafka, stream, type_, inline=config.dedup.revisions == "inline")


def _topic(kafka: KafkaConfig, stream: Stream, type_: EntryType, *, inline: bool) -> str:
    topics = topics_of(kafka, stream.kind)
    if type_ is EntryType.REVISION and not inline:
        return topics.revisions
    if type_ is EntryType.QUARANTINE:
        return topics.quarantine
    return topics.recordings if type_ is EntryType.RECORDING else topics.reports
