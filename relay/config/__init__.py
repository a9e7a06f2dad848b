"""The configuration: one YAML file, validated whole, frozen.

Invariant: whoever holds a `Config` from `load` may use it without checking again, and nothing prints its secrets.
"""

from relay.config.advice import advice
from relay.config.callback import CallbackConfig, RetryConfig
from relay.config.error import ConfigError, Problem, key_path
from relay.config.kafka import CreateTopicsConfig, KafkaConfig, SecurityConfig
from relay.config.load import load
from relay.config.model import Config, DedupConfig, HttpConfig, JournalConfig, LogConfig
from relay.config.secret import Secret, SecretUnreadable
from relay.config.source import (
    AuthConfig,
    EndpointConfig,
    PollConfig,
    PushConfig,
    ReconcileConfig,
    RecordingsConfig,
    SourceConfig,
)
from relay.config.summary import secret_texts, summary

__all__ = [
    "AuthConfig",
    "CallbackConfig",
    "Config",
    "ConfigError",
    "CreateTopicsConfig",
    "DedupConfig",
    "EndpointConfig",
    "HttpConfig",
    "JournalConfig",
    "KafkaConfig",
    "LogConfig",
    "PollConfig",
    "Problem",
    "PushConfig",
    "ReconcileConfig",
    "RecordingsConfig",
    "RetryConfig",
    "Secret",
    "SecretUnreadable",
    "SecurityConfig",
    "SourceConfig",
    "advice",
    "key_path",
    "load",
    "secret_texts",
    "summary",
]
