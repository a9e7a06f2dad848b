"""The private parts of aiokafka that the producer builds on: a new version that moves them must fail here, at once."""

import inspect

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.producer.sender import BaseHandler, EndTxnHandler, Sender
from aiokafka.producer.transaction_manager import TransactionManager

from relay.sinks.kafka_producer import OneEndTxnSender


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        (Sender._do_txn_commit, ["self", "commit_result"]),
        (Sender._send_produce_req, ["self", "node_id", "batches"]),
        (Sender._do_add_partitions_to_txn, ["self", "tps"]),
        (Sender._do_add_offsets_to_txn, ["self", "group_id"]),
        (Sender._do_txn_offset_commit, ["self", "offsets", "group_id"]),
        (Sender._find_coordinator, ["self", "coordinator_type", "coordinator_key"]),
        (AIOKafkaClient._metadata_update, ["self", "cluster_metadata", "topics"]),
        (TransactionManager.fatal_error, ["self", "exc"]),
        (TransactionManager.complete_transaction, ["self"]),
        (TransactionManager.wait_for_transaction_end, ["self"]),
        (Sender._fail_all, ["self", "task"]),
        (MessageAccumulator._append_batch, ["self", "builder", "tp"]),
        (TransactionManager.is_empty_transaction, ["self"]),
        (EndTxnHandler.__init__, ["self", "sender", "commit_result"]),
        (
            PartitionRecords.__init__,
            [
                "self",
                "tp",
                "records",
                "aborted_transactions",
                "fetch_offset",
                "key_deserializer",
                "value_deserializer",
                "check_crcs",
                "isolation_level",
            ],
        ),
    ],
)
def test_what_is_overridden_or_called_is_there(method: object, parameters: list[str]) -> None:
    assert list(inspect.signature(method).parameters) == parameters  # type: ignore[arg-type]


def test_a_transaction_is_ended_in_one_place_only() -> None:
    assert "_do_txn_commit" in vars(OneEndTxnSender)
    assert inspect.getsource(Sender).count("EndTxnHandler(") == 1
    assert "EndTxnHandler" in inspect.getsource(Sender._do_txn_commit)
    assert issubclass(EndTxnHandler, BaseHandler)


async def test_the_attributes_that_are_reached_into_exist() -> None:
    producer = AIOKafkaProducer(transactional_id="test")
    producer._closed = True

    assert isinstance(producer.client, AIOKafkaClient)
    assert {"_conns", "_sync_task", "_topics"} <= vars(producer.client).keys()
    assert {"_sender_task", "_txn_manager"} <= vars(producer._sender).keys()
    assert {"_metadata", "_message_accumulator", "_txn_manager"} <= vars(producer).keys()
    assert {"_pending_txn_offsets", "_transaction_waiter"} <= vars(producer._txn_manager).keys()
    assert "_compression_type" in vars(producer._message_accumulator)
    assert "self._writer" in inspect.getsource(AIOKafkaConnection.__init__)
