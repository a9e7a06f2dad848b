"""Kafka: where, which topics, how safely, and how to log in."""

from typing import Literal

from pydantic import Field

from relay.config.fields import Count, FilePath, Line, Seconds, Section, Servers, TopicName, TopicTemplate
from relay.config.secret import Secret


class CreateTopicsConfig(Section):
    """How missing topics are created."""

    partitions: Count = Field(default=6, description="Partitions of a new topic (the cursor topic always has one)")
    replication_factor: Count = Field(default=3, description="Replicas of a new topic; 1 for a single broker")


class SecurityConfig(Section):
    """TLS and SASL towards the brokers."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="Whether TLS and SASL are used"
    )
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = Field(
        default=None, description="How SASL logs in"
    )
    username: Line | None = Field(default=None, description="User name, for PLAIN and SCRAM")
    password: Secret | None = Field(default=None, description="Password, for PLAIN and SCRAM; a secret")
    ca_file: FilePath | None = Field(
        default=None, description="PEM file of the authorities to trust instead of the system's"
    )
    cert_file: FilePath | None = Field(default=None, description="PEM file of the client's certificate")
    key_file: FilePath | None = Field(default=None, description="PEM file of the key to cert_file")
    token_file: FilePath | None = Field(
        default=None, description="File that holds the token, for OAUTHBEARER; read again for every connection"
    )


class KafkaConfig(Section):
    """The cluster that reports are published to."""

    bootstrap_servers: Servers = Field(description="host:port, several separated by commas")
    id_prefix: Line = Field(
        default="relay", description="Begins transactional ids and consumer groups; ACLs name it with a prefix"
    )
    topic: TopicTemplate = Field(default="infobip.{kind}.reports", description="Topic of reports")
    revisions_topic: TopicTemplate = Field(
        default="infobip.{kind}.revisions", description="Topic of revisions (`dedup.revisions: separate`)"
    )
    quarantine_topic: TopicName = Field(
        default="infobip.quarantine", description="Topic of what could not be made into a report"
    )
    recordings_topic: TopicTemplate = Field(
        default="infobip.{kind}.recordings", description="Topic that announces stored recordings of calls"
    )
    cursor_topic: TopicName = Field(
        default="relay.cursors", description="Never written to, only named by cursors; never delete it"
    )
    delivery: Literal["transactional", "idempotent"] = Field(
        default="transactional",
        description="Exactly once; or, for brokers without transactions, at least once",
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        default="zstd", description="How batches are compressed"
    )
    transaction_timeout_seconds: Seconds = Field(
        default=60.0, description="After which the broker aborts a transaction; at most the broker's maximum"
    )
    create_topics: CreateTopicsConfig | None = Field(
        default=None, description="Create missing topics; left out, topics must exist"
    )
    security: SecurityConfig = Field(default_factory=SecurityConfig, description="TLS and SASL")
