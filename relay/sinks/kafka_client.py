"""aiokafka's client with what it lacks: it creates no topics by asking, knows the cluster's id, says why it cannot
connect, and can be let go at once whatever state it is in."""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any

from aiokafka import errors
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.conn import create_conn
from aiokafka.protocol.metadata import MetadataRequest

from relay.sinks.kafka_errors import translate


class StreamClient(AIOKafkaClient):  # type: ignore[misc]
    """Connections to the brokers for one producer."""

    cluster_id: str | None = None
    _sync_task: "asyncio.Task[None] | None"

    def __init__(self, *, request_timeout_ms: int, **options: Any) -> None:
        super().__init__(request_timeout_ms=request_timeout_ms, **options)
        self._connection_options = {
            key: value for key, value in options.items() if key.startswith(("sasl_", "ssl_", "security_", "client_id"))
        }

    async def bootstrap(self) -> None:
        """As aiokafka's, but raises a SinkError that says what is wrong instead of only logging it."""
        try:
            await super().bootstrap()
        except errors.KafkaConnectionError as error:
            raise await self._explanation(error) from error

    async def ask(self, request: Any) -> Any:
        """Send a request to any broker."""
        node = self.get_random_node()
        if node is None:
            raise errors.NodeNotReadyError("no broker is known")
        return await self.send(node, request)

    async def abort(self) -> None:
        """Close every connection without waiting for what is not sent yet."""
        if self._sync_task is not None:
            self._sync_task.cancel()
            await asyncio.wait([self._sync_task])
            self._sync_task = None
        for connection in self._conns.values():
            # A close would wait for a frozen peer to take what is still to be written.
            if connection._writer is not None:  # noqa: SLF001 - aiokafka cannot abort a connection
                connection._writer.transport.abort()  # noqa: SLF001 - as above
            connection.close()
        self._conns.clear()

    async def _metadata_update(self, cluster_metadata: ClusterMetadata, topics: Iterable[str] | None) -> bool:
        # aiokafka's own asks in a way that makes the broker create a topic that somebody deleted.
        request = MetadataRequest(list(topics or ()), allow_auto_topic_creation=False)
        node_ids = [broker.nodeId for broker in self.cluster.brokers()]
        if ("bootstrap", 0) in self._conns:
            node_ids.append("bootstrap")
        for node_id in node_ids:
            connection = await self._get_conn(node_id)
            if connection is None:
                continue
            with contextlib.suppress(errors.KafkaError, TimeoutError):
                metadata = await connection.send(request)
                if metadata.brokers:
                    self.cluster_id = getattr(metadata, "cluster_id", None)
                    cluster_metadata.update_metadata(metadata)
                    return True
        cluster_metadata.failed_update(None)
        return False

    async def _explanation(self, error: errors.KafkaConnectionError) -> Exception:
        """aiokafka logs why it could not connect and raises something else: connect once more and look."""
        for host, port, _ in self.hosts:
            try:
                connection = await create_conn(
                    host, port, request_timeout_ms=self._request_timeout_ms, **self._connection_options
                )
                connection.close()
            except (OSError, errors.KafkaError, TimeoutError) as reason:
                return translate(reason, f"cannot connect to Kafka at {host}:{port}")
        return translate(error, "cannot connect to Kafka")
