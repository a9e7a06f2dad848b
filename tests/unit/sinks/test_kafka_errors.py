"""What each error of Kafka means for a stream."""

import asyncio
import socket
import ssl

import pytest
from aiokafka import errors

from relay.ports import ProducerFenced, RecordsRefused, SinkError, SinkUnavailable, StreamBlocked, TransactionIndefinite
from relay.sinks.kafka_errors import EndTxnUnansweredError, translate

NO_TLS = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)")
NO_TLS.reason = "WRONG_VERSION_NUMBER"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (10, RecordsRefused),  # MESSAGE_TOO_LARGE
        (18, RecordsRefused),  # RECORD_LIST_TOO_LARGE
        (87, RecordsRefused),  # INVALID_RECORD
        (47, ProducerFenced),  # INVALID_PRODUCER_EPOCH
        (90, ProducerFenced),  # PRODUCER_FENCED
        (48, ProducerFenced),  # INVALID_TXN_STATE: the broker ended the transaction
        (29, StreamBlocked),  # TOPIC_AUTHORIZATION_FAILED
        (30, StreamBlocked),  # GROUP_AUTHORIZATION_FAILED
        (31, StreamBlocked),  # CLUSTER_AUTHORIZATION_FAILED
        (53, StreamBlocked),  # TRANSACTIONAL_ID_AUTHORIZATION_FAILED
        (32, StreamBlocked),  # INVALID_TIMESTAMP
        (44, StreamBlocked),  # POLICY_VIOLATION
        (50, StreamBlocked),  # INVALID_TRANSACTION_TIMEOUT
        (58, StreamBlocked),  # SASL_AUTHENTICATION_FAILED
        (76, StreamBlocked),  # UNSUPPORTED_COMPRESSION_TYPE
        (7, SinkUnavailable),  # REQUEST_TIMED_OUT
        (19, SinkUnavailable),  # NOT_ENOUGH_REPLICAS
        (45, SinkUnavailable),  # OUT_OF_ORDER_SEQUENCE_NUMBER
        (-1, SinkUnavailable),  # UNKNOWN_SERVER_ERROR
        (12345, SinkUnavailable),
    ],
)
def test_code(code: int, expected: type[SinkError]) -> None:
    assert type(translate(errors.for_code(code)(), "publishing")) is expected


def test_the_cause_inside_aiokafkas_wrapper_decides() -> None:
    wrapper = errors.KafkaError("Unexpected error during batch delivery")
    wrapper.__cause__ = errors.InvalidTxnState()

    assert type(translate(wrapper, "publishing")) is ProducerFenced


@pytest.mark.parametrize(
    ("error", "expected", "text"),
    [
        (TimeoutError(), SinkUnavailable, "opening: no answer in time"),
        (
            ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)"),
            SinkUnavailable,
            "opening: connection refused",
        ),
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            SinkUnavailable,
            "opening: unknown host name",
        ),
        (
            asyncio.IncompleteReadError(b"HTTP", 1213486160),
            SinkUnavailable,
            "opening: the connection was closed before an answer",
        ),
        (NO_TLS, StreamBlocked, "no TLS is spoken there (wrong version number); set kafka.security.protocol to PLAIN"),
        (EndTxnUnansweredError("EndTxn was not answered"), TransactionIndefinite, "EndTxn was not answered"),
        (ssl.SSLCertVerificationError("self-signed"), StreamBlocked, "ca_file"),
        (errors.TopicAuthorizationFailedError("reports"), StreamBlocked, "grant WRITE"),
        (errors.SaslAuthenticationFailed("bad password"), StreamBlocked, "bad password; check username, password"),
    ],
)
def test_the_message_names_place_and_cure(error: Exception, expected: type[SinkError], text: str) -> None:
    translated = translate(error, "opening")

    assert type(translated) is expected
    assert text in str(translated)


def test_a_sink_error_passes_unchanged() -> None:
    blocked = StreamBlocked("topics do not exist")

    assert translate(blocked, "opening") is blocked
