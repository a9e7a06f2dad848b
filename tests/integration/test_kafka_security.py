"""Connecting with TLS, client certificates and SASL; and what is said when it is refused."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from relay.config import Secret, SecurityConfig
from relay.ports import SinkUnavailable, StreamBlocked
from tests.integration.kafka_rig import Place
from tests.kafka.broker import Cluster
from tests.kafka.reader import count_keys, read_committed

pytestmark = pytest.mark.kafka


def secured(place: Place, kafka: Cluster, listener: str, **security: Any) -> Place:
    return place.changed(bootstrap_servers=kafka.listener(listener), security=SecurityConfig(**security))


def unsecured_token(subject: str) -> str:
    """A JWT without signature, as Kafka's validator for tests takes it."""

    def part(fields: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(fields).encode()).rstrip(b"=").decode()

    now = int(time.time())
    return f"{part({'alg': 'none'})}.{part({'sub': subject, 'iat': now, 'exp': now + 3600})}."


async def publishes(place: Place, kafka: Cluster, through: Place) -> None:
    sink = await through.open_sink()
    await sink.publish(place.records([1, 2]), 2)
    assert await sink.read_cursor() == 2
    assert count_keys(read_committed(kafka.bootstrap_servers, place.topics.reports)) == {"m-1": 1, "m-2": 1}


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_user_and_password_over_tls(kafka: Cluster, place: Place, mechanism: str) -> None:
    through = secured(
        place, kafka, "SASL_TLS", protocol="SASL_SSL", mechanism=mechanism,
        username="alice", password=Secret("alice-secret"), ca_file=kafka.certificates.ca_file,
    )  # fmt: skip

    await publishes(place, kafka, through)


async def test_user_and_password_without_tls(kafka: Cluster, place: Place) -> None:
    through = secured(
        place, kafka, "SASL", protocol="SASL_PLAINTEXT", mechanism="SCRAM-SHA-256",
        username="alice", password=Secret("alice-secret"),
    )  # fmt: skip

    await publishes(place, kafka, through)


async def test_a_token_is_read_again_for_every_connection(kafka: Cluster, place: Place, tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text("no token at all\n")
    through = secured(place, kafka, "SASL", protocol="SASL_PLAINTEXT", mechanism="OAUTHBEARER", token_file=token_file)
    with pytest.raises((StreamBlocked, SinkUnavailable), match="cannot connect to Kafka"):
        await through.open_sink(deadline_seconds=5)

    token_file.write_text(unsecured_token("alice") + "\n")

    await publishes(place, kafka, through)


async def test_a_missing_token_file_is_named(kafka: Cluster, place: Place, tmp_path: Path) -> None:
    missing = tmp_path / "absent"
    through = secured(place, kafka, "SASL", protocol="SASL_PLAINTEXT", mechanism="OAUTHBEARER", token_file=missing)

    with pytest.raises(StreamBlocked, match=f"token_file {missing}"):
        await through.open_sink(deadline_seconds=5)


async def test_tls(kafka: Cluster, place: Place) -> None:
    await publishes(
        place, kafka, secured(place, kafka, "TLS", protocol="SSL", ca_file=kafka.certificates.ca_file)
    )  # fmt: skip


async def test_client_certificate(kafka: Cluster, place: Place) -> None:
    files = kafka.certificates
    through = secured(
        place, kafka, "MTLS", protocol="SSL", ca_file=files.ca_file,
        cert_file=files.client_cert_file, key_file=files.client_key_file,
    )  # fmt: skip

    await publishes(place, kafka, through)


async def test_without_its_client_certificate_it_does_not_connect(kafka: Cluster, place: Place) -> None:
    through = secured(place, kafka, "MTLS", protocol="SSL", ca_file=kafka.certificates.ca_file)

    with pytest.raises((StreamBlocked, SinkUnavailable), match="cannot connect to Kafka"):
        await through.open_sink(deadline_seconds=5)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_a_wrong_password_is_said_to_be_one(kafka: Cluster, place: Place, mechanism: str) -> None:
    through = secured(
        place, kafka, "SASL", protocol="SASL_PLAINTEXT", mechanism=mechanism,
        username="alice", password=Secret("not-her-secret"),
    )  # fmt: skip

    with pytest.raises(StreamBlocked, match=r"(?i)authentication failed.*check username, password") as caught:
        await through.open_sink(deadline_seconds=5)

    assert "not-her-secret" not in str(caught.value)


async def test_a_password_from_a_file_is_read_anew(kafka: Cluster, place: Place, tmp_path: Path) -> None:
    password_file = tmp_path / "password"
    password_file.write_text("old-secret\n")
    through = secured(
        place, kafka, "SASL", protocol="SASL_PLAINTEXT", mechanism="PLAIN",
        username="alice", password=Secret(file=password_file),
    )  # fmt: skip
    with pytest.raises(StreamBlocked):
        await through.open_sink(deadline_seconds=5)

    password_file.write_text("alice-secret\n")

    await publishes(place, kafka, through)


async def test_a_broker_that_nobody_known_vouches_for_is_refused(kafka: Cluster, place: Place) -> None:
    through = secured(place, kafka, "TLS", protocol="SSL", ca_file=kafka.certificates.stranger_ca_file)

    with pytest.raises(StreamBlocked, match=r"the certificate is not trusted.*ca_file"):
        await through.open_sink(deadline_seconds=5)


async def test_a_certificate_file_that_is_none_is_named(kafka: Cluster, place: Place, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate")
    through = secured(place, kafka, "TLS", protocol="SSL", ca_file=tmp_path / "ca.pem")

    with pytest.raises(StreamBlocked, match="cannot use the TLS files"):
        await through.open_sink(deadline_seconds=5)


async def test_a_revoked_permission_blocks_the_stream_until_it_is_granted(kafka: Cluster, place: Place) -> None:
    through = secured(
        place, kafka, "SASL", protocol="SASL_PLAINTEXT", mechanism="PLAIN",
        username="limited", password=Secret("limited-secret"),
    )  # fmt: skip
    sink = await through.open_sink(deadline_seconds=8)
    await sink.publish(place.records([1]), 1)
    admin = kafka.admin()
    denied = AclBinding(
        ResourceType.TOPIC, place.topics.reports, ResourcePatternType.LITERAL,
        "User:limited", "*", AclOperation.WRITE, AclPermissionType.DENY,
    )  # fmt: skip
    _done(admin.create_acls([denied]))

    with pytest.raises(StreamBlocked, match=r"TOPIC_AUTHORIZATION_FAILED.*grant WRITE"):
        await sink.publish(place.records([2]), 2)
    _revoke(admin, denied)
    await sink.open()
    await sink.publish(place.records([2]), 2)

    assert count_keys(read_committed(kafka.bootstrap_servers, place.topics.reports)) == {"m-1": 1, "m-2": 1}


@pytest.mark.parametrize(
    ("resource", "operation", "said"),
    [
        (ResourceType.TRANSACTIONAL_ID, AclOperation.WRITE, "transactional ids"),
        (ResourceType.GROUP, AclOperation.READ, "grant READ and DESCRIBE on groups"),
    ],
)
async def test_a_missing_permission_is_named(
    kafka: Cluster, place: Place, resource: ResourceType, operation: AclOperation, said: str
) -> None:
    through = secured(
        place, kafka, "SASL", protocol="SASL_PLAINTEXT", mechanism="PLAIN",
        username="limited", password=Secret("limited-secret"),
    )  # fmt: skip
    denied = AclBinding(
        resource, place.name, ResourcePatternType.PREFIXED, "User:limited", "*", operation, AclPermissionType.DENY
    )
    admin = kafka.admin()
    _done(admin.create_acls([denied]))

    try:
        with pytest.raises(StreamBlocked, match=said):
            await publishes(place, kafka, through)
    finally:
        _revoke(admin, denied)


def _revoke(admin: AdminClient, binding: AclBinding) -> None:
    _done(admin.delete_acls([
        AclBindingFilter(
            binding.restype, binding.name, binding.resource_pattern_type, binding.principal, binding.host,
            binding.operation, binding.permission_type,
        )
    ]))  # fmt: skip


def _done(futures: dict[Any, Any]) -> None:
    for future in futures.values():
        future.result(20)
