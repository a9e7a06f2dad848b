"""What Kafka's errors mean for a stream: refused for the record, blocked, fenced, or just not now.

The one boundary at which errors of aiokafka, TLS and sockets become a `SinkError` with place and cure.
"""

import asyncio
import ssl
from collections.abc import Mapping

from aiokafka import errors
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_exponential

from relay.observe.plain_words import plain_words, speaks_no_tls
from relay.ports import ProducerFenced, RecordsRefused, SinkError, SinkUnavailable, StreamBlocked, TransactionIndefinite


class InvalidRecordError(errors.BrokerResponseError):  # type: ignore[misc]
    errno = 87
    message = "INVALID_RECORD"


class UnsupportedCompressionTypeError(errors.BrokerResponseError):  # type: ignore[misc]
    errno = 76
    message = "UNSUPPORTED_COMPRESSION_TYPE"


class UnstableOffsetCommitError(errors.BrokerResponseError):  # type: ignore[misc]
    errno = 88
    message = "UNSTABLE_OFFSET_COMMIT"
    retriable = True


class ProducerFencedError(errors.BrokerResponseError):  # type: ignore[misc]
    errno = 90
    message = "PRODUCER_FENCED"


# aiokafka turns a code that it does not know into UnknownError, and which code it was is lost.
for _unknown in (InvalidRecordError, UnsupportedCompressionTypeError, UnstableOffsetCommitError, ProducerFencedError):
    errors.kafka_errors.setdefault(_unknown.errno, _unknown)


class EndTxnUnansweredError(errors.KafkaError):  # type: ignore[misc]
    """EndTxn was sent and no answer tells whether it happened."""


REFUSED = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError, InvalidRecordError)

FENCED = (
    errors.ProducerFenced,
    errors.InvalidProducerEpoch,
    ProducerFencedError,
    errors.InvalidTxnState,
    errors.TransactionCoordinatorFenced,
)
"""Another producer with the same transactional id, or the broker ended the transaction for its time-out."""

BLOCKED: Mapping[type[Exception], str] = {
    errors.TopicAuthorizationFailedError: "grant WRITE, READ and DESCRIBE on the topics (CREATE for create_topics)",
    errors.GroupAuthorizationFailedError: "grant READ and DESCRIBE on groups that begin with kafka.id_prefix",
    errors.TransactionalIdAuthorizationFailed: "grant WRITE and DESCRIBE on transactional ids that begin with "
    "kafka.id_prefix",
    errors.ClusterAuthorizationFailedError: "grant IDEMPOTENT_WRITE on the cluster",
    errors.SaslAuthenticationFailed: "check username, password or token in kafka.security",
    errors.AuthenticationFailedError: "check kafka.security",
    errors.UnsupportedSaslMechanismError: "set kafka.security.mechanism to one that the broker enables",
    errors.IllegalSaslStateError: "check kafka.security.protocol: the listener may not use SASL",
    errors.InvalidTimestampError: "the broker takes no record with such a timestamp: compare the clocks, or see "
    "message.timestamp.before.max.ms and message.timestamp.after.max.ms of the topic",
    errors.InvalidTopicError: "the topic's name is not valid",
    errors.PolicyViolationError: "a policy of the cluster refuses it",
    errors.UnsupportedForMessageFormatError: "the topic's message format is too old",
    errors.UnsupportedVersionError: "the broker is too old",
    errors.IncompatibleBrokerVersion: "the broker is too old; without transactions set kafka.delivery: idempotent",
    errors.InvalidTransactionTimeout: "set kafka.transaction_timeout_seconds to at most the broker's "
    "transaction.max.timeout.ms",
    errors.InvalidReplicationFactorError: "set kafka.create_topics.replication_factor to at most the number of brokers",
    errors.InvalidPartitionsError: "check kafka.create_topics.partitions",
    UnsupportedCompressionTypeError: "set kafka.compression to a type that the broker knows",
    ssl.SSLError: "check kafka.security.ca_file, cert_file and key_file",
}
"""What waits for somebody to change something outside, and what to change."""


NO_TLS_CURE = "set kafka.security.protocol to PLAINTEXT or SASL_PLAINTEXT, or name the port of a listener with TLS"


def asking_again(patience_seconds: float) -> AsyncRetrying:
    """For requests that change nothing: again while leaders and coordinators move or load, then the error itself."""
    return AsyncRetrying(
        retry=retry_if_exception(lambda error: getattr(error, "retriable", False)),
        wait=wait_exponential(multiplier=0.05, max=1.0),
        stop=stop_after_delay(patience_seconds),
        reraise=True,
    )


def translate(error: BaseException, doing: str) -> SinkError:
    """The SinkError for what happened while `doing` (words for the message)."""
    if isinstance(error, SinkError):
        return error
    cause = _cause(error)
    text = f"{doing}: {describe(cause)}"
    if isinstance(cause, EndTxnUnansweredError):
        return TransactionIndefinite(text)
    if isinstance(cause, REFUSED):
        return RecordsRefused(text)
    if isinstance(cause, FENCED):
        return ProducerFenced(text)
    cure = _cure(cause)
    return StreamBlocked(f"{text}; {cure}") if cure else SinkUnavailable(text)


def _cure(cause: BaseException) -> str | None:
    """What somebody has to change; None: it may pass by itself."""
    if speaks_no_tls(cause):
        return NO_TLS_CURE
    return next((cure for kind, cure in BLOCKED.items() if isinstance(cause, kind)), None)


def describe(error: BaseException) -> str:
    """One line: plain words for connections; else the error's name, as Kafka calls it if it does, and what it says."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, asyncio.IncompleteReadError):
        return "the connection was closed before an answer; is a Kafka broker there, and kafka.security.protocol right?"
    if isinstance(error, OSError):
        return plain_words(error)
    said = str(error).strip()
    name = getattr(error, "message", None) or type(error).__name__
    return said if name in said else f"{name} {said}".strip()


def _cause(error: BaseException) -> BaseException:
    """aiokafka wraps what ended its sender or a connection in a bare KafkaError; the cause says what it was."""
    seen = error
    while type(seen) in (errors.KafkaError, errors.KafkaConnectionError) and seen.__cause__ is not None:
        seen = seen.__cause__
    return seen
