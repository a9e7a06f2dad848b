"""A producer that is fenced leaves nothing behind that asyncio complains of: what was lost is told once, by relay."""

import asyncio
import gc
from typing import Any

from aiokafka.errors import ProducerFenced, TopicAuthorizationFailedError
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from relay.ports import Record
from relay.sinks.kafka_producer import StreamProducer

PLACE = TopicPartition("reports", 0)


class Rig:
    """A producer within a transaction, without a broker; what asyncio says of exceptions that nobody looked at."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        asyncio.get_running_loop().set_exception_handler(self._complain)
        self.producer: StreamProducer | None = StreamProducer(
            bootstrap_servers="127.0.0.1:1",
            client_id="test",
            transactional_id="test",
            transaction_timeout_ms=60_000,
            request_timeout_ms=1000,
            max_batch_size=1000,
            enable_idempotence=True,
            connection={},
        )
        self.transaction = self.producer._txn_manager
        self.transaction.set_pid_and_epoch(7, 0)
        self.transaction.begin_transaction()

    async def fenced(self) -> None:
        """The routine of the sender ends as it does when the coordinator refuses to add a partition."""

        async def routine() -> None:
            raise ProducerFenced

        assert self.producer is not None
        ended = asyncio.ensure_future(routine())
        await asyncio.wait([ended])
        self.producer._sender._fail_all(ended)

    async def gone(self) -> list[str]:
        """What is said when the producer is let go and forgotten."""
        assert self.producer is not None
        await self.producer.let_go()
        self.producer = self.transaction = None
        await asyncio.sleep(0)
        gc.collect()
        return self.complaints

    def _complain(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.complaints.append(f"{context['message']}: {context.get('exception')!r}")


async def test_batches_that_were_not_taken_up_yet() -> None:
    rig = Rig()
    assert rig.producer is not None
    batch = rig.producer.create_batch()
    batch.extend([Record(1, "reports", b"k", b"v", b"m-1", (), 1_700_000_000_000)], 0)
    delivery = await rig.producer._message_accumulator.add_batch(batch, PLACE, 1.0)
    await rig.fenced()
    assert isinstance((await asyncio.gather(delivery, return_exceptions=True))[0], ProducerFenced)
    del batch, delivery
    assert await rig.gone() == []


async def test_a_transaction_that_was_in_error_before() -> None:
    rig = Rig()
    rig.transaction.error_transaction(TopicAuthorizationFailedError())
    await rig.fenced()
    assert await rig.gone() == []


async def test_offsets_that_nobody_waits_for_any_more() -> None:
    rig = Rig()
    assert rig.producer is not None
    offsets = {PLACE: OffsetAndMetadata(1, "")}
    sending = asyncio.ensure_future(rig.producer.send_offsets_to_transaction(offsets, "group"))
    await asyncio.sleep(0)
    sending.cancel()
    await asyncio.wait([sending])
    await rig.fenced()
    del sending
    assert await rig.gone() == []


async def test_requests_that_fail_beside_the_first_that_did() -> None:
    rig = Rig()

    async def request() -> None:
        assert rig.producer is not None
        with rig.producer._sender._cancellable():
            raise ProducerFenced

    sent = asyncio.ensure_future(request())
    await asyncio.wait([sent])
    del sent
    assert await rig.gone() == []
