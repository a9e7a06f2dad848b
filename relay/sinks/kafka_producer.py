"""aiokafka's producer made safe for one stream's transactions.

What aiokafka 0.14 does and this does not: send EndTxn a second time with the same epoch (a late copy could commit half
of the next transaction), wait without end for brokers that are gone when told to stop, create topics by asking.
It builds on private parts of aiokafka; the dependency is pinned to 0.14 and a test names what must be there.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from aiokafka import AIOKafkaProducer, errors
from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.producer.sender import EndTxnHandler, Sender
from aiokafka.producer.transaction_manager import TransactionResult
from aiokafka.structs import TopicPartition

from relay.observe.failpoints import Point, reach
from relay.sinks.kafka_client import StreamClient
from relay.sinks.kafka_encoding import RecordBatch
from relay.sinks.kafka_errors import EndTxnUnansweredError

RETRY_BACKOFF_MS = 50
LET_GO_SECONDS = 5.0


class OneEndTxnSender(Sender):  # type: ignore[misc]
    """Sends one EndTxn for a transaction, ever; knows its requests so that they can be cancelled."""

    def __init__(self, client: StreamClient, **options: Any) -> None:
        super().__init__(client, **options)
        self.end_txn_sent = False
        self._requests: set[asyncio.Task[Any]] = set()

    def cancel(self) -> Iterable[asyncio.Task[Any]]:
        """Cancel the routine and what it waits for; aiokafka's close() waits for requests instead."""
        tasks = set(self._requests)
        if self._sender_task is not None:
            tasks.add(self._sender_task)
        for task in tasks:
            task.cancel()
        return tasks

    def _fail_all(self, task: "asyncio.Task[Any]") -> None:
        """As aiokafka's, which puts another waiter in the place of one that holds an exception already, and tells
        those who waited for offsets, whether they still do or not."""
        transaction = self._txn_manager
        waiters = []
        if transaction is not None:
            waiters = [transaction.wait_for_transaction_end()]
            waiters += [waiter for _, _, waiter in transaction._pending_txn_offsets]  # noqa: SLF001 - nobody else tells
        super()._fail_all(task)
        for waiter in waiters:
            if waiter is not None:
                seen(waiter)

    async def _do_txn_commit(self, commit_result: TransactionResult) -> None:
        await self._message_accumulator.flush_for_commit()
        transaction = self._txn_manager
        if transaction.is_empty_transaction():
            transaction.complete_transaction()
            return
        with self._cancellable():
            failure = await self._end_transaction(EndTxnHandler(self, commit_result).create_request())
        if failure is None:
            transaction.complete_transaction()
        else:
            transaction.fatal_error(failure)

    async def _end_transaction(self, request: Any) -> Exception | None:
        node_id = await self._find_coordinator(CoordinationType.TRANSACTION, self._txn_manager.transactional_id)
        self.end_txn_sent = True
        try:
            response = await self.client.send(node_id, request, group=ConnectionGroup.COORDINATION)
        except errors.KafkaError as error:
            return EndTxnUnansweredError(f"EndTxn was not answered: {error!r}")
        reach(Point.PUBLISH_ENDED)
        answer = errors.for_code(response.error_code)
        if answer is errors.NoError:
            return None
        if answer in (errors.InvalidProducerEpoch, errors.InvalidTxnState):
            fenced: Exception = errors.ProducerFenced(f"EndTxn was refused with {answer.__name__}")
            return fenced
        # The coordinator may have written its decision before it answered so.
        return EndTxnUnansweredError(f"EndTxn was answered with {answer.__name__}")

    async def _send_produce_req(self, node_id: int, batches: Any) -> None:
        with self._cancellable():
            await super()._send_produce_req(node_id, batches)
        reach(Point.PUBLISH_SENDING)

    async def _do_add_partitions_to_txn(self, tps: Any) -> Any:
        with self._cancellable():
            return await super()._do_add_partitions_to_txn(tps)

    async def _do_add_offsets_to_txn(self, group_id: str) -> Any:
        with self._cancellable():
            return await super()._do_add_offsets_to_txn(group_id)

    async def _do_txn_offset_commit(self, offsets: Any, group_id: str) -> Any:
        with self._cancellable():
            return await super()._do_txn_offset_commit(offsets, group_id)

    @contextlib.contextmanager
    def _cancellable(self) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - aiokafka runs each of these in a task of its own
        self._requests.add(task)
        task.add_done_callback(seen)  # the routine ends with the first failure and looks at no other
        try:
            yield
        finally:
            self._requests.discard(task)


class Batches(MessageAccumulator):  # type: ignore[misc]
    """Those that wait to be sent. Only the next batch of a partition waits until one is taken up: when all fail before
    that, nobody does."""

    def _append_batch(self, builder: RecordBatch, tp: TopicPartition) -> Any:
        batch = super()._append_batch(builder, tp)
        batch.future.add_done_callback(lambda _: seen(batch._drain_waiter))  # noqa: SLF001 - a retry makes another one
        return batch


class StreamProducer(AIOKafkaProducer):  # type: ignore[misc]
    """One producer for one stretch of work: after any error it is abandoned and another one is made."""

    client: StreamClient
    _message_accumulator: MessageAccumulator

    def __init__(self, *, max_batch_size: int, connection: dict[str, Any], **options: Any) -> None:
        super().__init__(max_batch_size=max_batch_size, retry_backoff_ms=RETRY_BACKOFF_MS, **options, **connection)
        self.client = StreamClient(
            bootstrap_servers=options["bootstrap_servers"],
            client_id=options["client_id"],
            request_timeout_ms=options["request_timeout_ms"],
            retry_backoff_ms=RETRY_BACKOFF_MS,
            **connection,
        )
        self._metadata = self.client.cluster
        codec = self._message_accumulator._compression_type  # noqa: SLF001 - its number, worked out by aiokafka
        self._message_accumulator = Batches(
            self._metadata,
            max_batch_size,
            codec,
            options["request_timeout_ms"] / 1000,
            txn_manager=self._txn_manager,
        )
        self._new_batch = partial(RecordBatch, max_batch_size, codec, is_transactional="transactional_id" in options)
        self._sender: OneEndTxnSender = OneEndTxnSender(
            self.client,
            acks=-1,
            txn_manager=self._txn_manager,
            message_accumulator=self._message_accumulator,
            retry_backoff_ms=RETRY_BACKOFF_MS,
            request_timeout_ms=options["request_timeout_ms"],
        )

    @property
    def end_txn_sent(self) -> bool:
        """Whether the transaction that was begun last may have been decided already."""
        return self._sender.end_txn_sent

    @property
    def producer_id(self) -> int:
        return int(self._txn_manager.producer_id)

    def join_partitions(self, places: Iterable[TopicPartition]) -> None:
        """Make partitions part of the transaction without a record: its end is written there, too."""
        for place in places:
            self._txn_manager.maybe_add_partition_to_txn(place)

    def create_batch(self) -> RecordBatch:
        return self._new_batch()

    async def begin_transaction(self) -> None:
        self._sender.end_txn_sent = False
        await super().begin_transaction()

    async def let_go(self) -> None:
        """End every task and connection, flush nothing, wait for nobody. May be called in any state, and twice."""
        self._closed = True
        tasks = set(self._sender.cancel())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LET_GO_SECONDS):
                await self.client.abort()
                while tasks:
                    # The routine waits for its requests once more when it is cancelled, so it is cancelled again.
                    _, tasks = await asyncio.wait(tasks, timeout=0.1)
                    for task in tasks:
                        task.cancel()
        self._forget_failures()

    def _forget_failures(self) -> None:
        """Nobody awaits these futures any more; asyncio would log each as never retrieved."""
        waiter = getattr(self._txn_manager, "_transaction_waiter", None)
        if waiter is not None:
            seen(waiter)


def seen(future: "asyncio.Future[Any]") -> None:
    """Its failure, if it is one, is told otherwise; asyncio would log it as never retrieved."""
    if future.done() and not future.cancelled():
        future.exception()
