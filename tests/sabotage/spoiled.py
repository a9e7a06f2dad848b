"""The relay built wrong on purpose, in one place at a time: each function replaces what makes one promise true."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from itertools import count

from aiokafka.structs import OffsetAndMetadata, TopicPartition

from relay.app import Relay
from relay.journal import ids
from relay.sinks import kafka, kafka_settle
from relay.sinks.kafka import KafkaSink
from relay.sources import account
from relay.stages import intake
from relay.stages.intake import Intake
from relay.stages.publish import publisher

DIES_AT = 4
"""The relay whose cursor lies outside of the transaction is killed between the two the fourth time, once."""


def parse_first() -> None:
    """Parse before journaling: what cannot be parsed has never been there."""

    write = Intake._write

    async def parse_and_write(self, answer, verdict, entries):
        try:
            json.loads(answer.body or b"{}")
        except ValueError:
            await self._journal.end_poll(self._lease, self._stream, answer.received_at_ms, None, success=True)
        else:
            await write(self, answer, verdict, entries)

    Intake._write = parse_and_write


def cursor_outside() -> None:
    """The cursor is committed after the records, not with them."""

    hits = count(1)

    async def in_two_steps(self, producer, records, position):
        await producer.begin_transaction()
        await self._deliver(producer, records)
        await producer.commit_transaction()
        if records and "RELAY_SABOTAGE_DIES" in os.environ and next(hits) == DIES_AT:
            os.kill(os.getpid(), signal.SIGKILL)
        await producer.begin_transaction()
        cursor = TopicPartition(self._config.cursor_topic, 0)
        await producer.send_offsets_to_transaction({cursor: OffsetAndMetadata(position + 1, "")}, self._id)
        await producer.commit_transaction()

    KafkaSink._transaction = in_two_steps


def sends_unawaited() -> None:
    """Commit without looking whether the broker took the records."""

    async def not_awaited(self, producer, deliveries):
        await asyncio.sleep(0)

    KafkaSink._confirmed = not_awaited


def error_is_missing() -> None:
    """Whoever cannot read the cursor believes that there is none."""

    read = kafka.read_committed_offset

    async def read_or_none(*arguments, patience_seconds):
        try:
            async with asyncio.timeout(1):
                return await read(*arguments, patience_seconds=patience_seconds)
        except Exception:
            return None

    async def nothing_there(self):
        return None

    kafka.read_committed_offset = kafka_settle.read_committed_offset = read_or_none
    KafkaSink.last_published_seq = nothing_there


def no_dedup() -> None:
    """Nothing is known of any messageId."""

    ids.look_up = lambda db, keys: {}


def poll_cancelled() -> None:
    """Whoever stops does not wait for the answer."""

    async def as_it_comes(work):
        return await work

    async def cancel_polls(self):
        self._web.stop_pushes()
        for task in asyncio.all_tasks():
            if task.get_name().startswith("intake/"):
                task.cancel()
        await self._stages.stop("intake")

    intake._to_the_end = as_it_comes
    Relay.stop_polling = cancel_polls


def get_repeated() -> None:
    """aiohttp may send the GET again when the connection breaks, as it does by itself."""

    async def as_it_is(request, handler):
        return await handler(request)

    account.never_repeat = as_it_is


def backup_forgets() -> None:
    """What Kafka has and the journal has not is believed to be nobody's."""

    async def adopt_nothing(*_arguments, **_options):
        return None

    publisher.adopt_missing = adopt_nothing


SPOILS: dict[str, Callable[[], None]] = {
    "parse-first": parse_first,
    "cursor-outside": cursor_outside,
    "sends-unawaited": sends_unawaited,
    "error-is-missing": error_is_missing,
    "no-dedup": no_dedup,
    "poll-cancelled": poll_cancelled,
    "get-repeated": get_repeated,
    "backup-forgets": backup_forgets,
}
