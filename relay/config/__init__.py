"""The configuration: one YAML file, validated whole, frozen.

Invariant: whoever holds a `Config` from `load` may use it without checking again, and nothing prints its secrets.
"""

from relay.config.advice import advice
from relay.config.callback import CallbackConfig, RetryConfig
from relay.config.changes import CallbackChanges, OtherChanges, RenewedSecret, callback_changes, other_changes
from relay.config.error import ConfigError, Problem, key_path
from relay.config.file import ConfigFile, tls_stamps
from relay.config.kafka import CreateTopicsConfig, KafkaConfig, SecurityConfig
from relay.config.load import load
from relay.config.model import Config, DedupConfig, HttpConfig, JournalConfig, LogConfig
from relay.config.secret import Secret, SecretUnreadable
from relay.config.secret_rules import broken_secrets
from relay.config.source import (
    AuthConfig,
    EndpointConfig,
    PollConfig,
    PushConfig,
    ReconcileConfig,
    RecordingsConfig,
    SourceConfig,
)
from relay.config.stamp import Stamp, stamp_of
from relay.config.summary import secret_texts, summary

__all__ = [
    "AuthConfig",
    "CallbackChanges",
    "CallbackConfig",
    "Config",
    "ConfigError",
    "ConfigFile",
    "CreateTopicsConfig",
    "DedupConfig",
    "EndpointConfig",
    "HttpConfig",
    "JournalConfig",
    "KafkaConfig",
    "LogConfig",
    "OtherChanges",
    "PollConfig",
    "Problem",
    "PushConfig",
    "ReconcileConfig",
    "RecordingsConfig",
    "RenewedSecret",
    "RetryConfig",
    "Secret",
    "SecretUnreadable",
    "SecurityConfig",
    "SourceConfig",
    "Stamp",
    "advice",
    "broken_secrets",
    "callback_changes",
    "key_path",
    "load",
    "other_changes",
    "secret_texts",
    "stamp_of",
    "summary",
    "tls_stamps",
]
