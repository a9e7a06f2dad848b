"""The whole configuration file: attribute names are its keys."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from relay.config.callback import CallbackConfig
from relay.config.fields import Count, Hours, Line, Port, Section, Whole, wrong
from relay.config.kafka import KafkaConfig
from relay.config.secret import Secret
from relay.config.source import SourceConfig

SQLITE = "sqlite:///"


def _journal_url(given: str) -> str:
    if given.startswith("postgresql://"):
        return given
    if not given.startswith(SQLITE) or not given.removeprefix(SQLITE) or given.endswith("/"):
        raise wrong("must be sqlite:////absolute/path/relay.db or sqlite:///relative/path/relay.db")
    return given


class JournalConfig(Section):
    """The one durable log."""

    url: Annotated[str, AfterValidator(_journal_url)] = Field(
        repr=False, description="`sqlite:////absolute/path/relay.db`; a local disk, never a network file system"
    )
    retention_hours: Hours = Field(
        default=24.0, description="How long a report is kept after Kafka and every callback have passed it"
    )
    max_unpublished: Count = Field(
        default=1_000_000, description="Reports not yet published at which a stream stops polling"
    )
    min_free_bytes: Whole = Field(
        default=268_435_456, description="Free space below which history is dropped first, and polling stops last"
    )

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return Path(self.url.removeprefix(SQLITE))


class DedupConfig(Section):
    """What counts as the same report."""

    window_hours: Hours = Field(
        default=96.0, description="How long a messageId is remembered; at least lookback_hours + 24"
    )
    revisions: Literal["separate", "inline"] = Field(
        default="separate",
        description="Later reports with another outcome: `separate` to the revisions topic, `inline` to the kind's",
    )


class HttpConfig(Section):
    """The relay's own HTTP service."""

    host: Line = Field(default="0.0.0.0", description="Address to listen on")  # noqa: S104 - probes come from outside
    port: Port = Field(default=8080, description="Port to listen on; 0 takes a free one")
    token: Secret | None = Field(
        default=None,
        description="Bearer token of /api/v1; a secret. Left out, one is made in the journal's directory "
        "(`relay.token`, mode 0600)",
    )
    push_port: Port | None = Field(default=None, description="Port for /push alone; left out: the same port")


class LogConfig(Section):
    """The log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is written"
    )
    format: Literal["json", "console"] = Field(
        default="json", description="One JSON object a line, or lines for people"
    )


class Config(Section):
    """One relay."""

    instance: Line = Field(
        default_factory=socket.gethostname, description="Name of this process in logs and leases; default: host name"
    )
    sources: Annotated[tuple[SourceConfig, ...], Field(min_length=1)] = Field(description="Accounts to read")
    journal: JournalConfig = Field(description="The durable log; there is no default")
    dedup: DedupConfig = Field(default_factory=DedupConfig, description="Duplicates and revisions")
    kafka: KafkaConfig | None = Field(default=None, description="Left out: no Kafka, callbacks only")
    callbacks: tuple[CallbackConfig, ...] = Field(default=(), description="HTTP callbacks")
    http: HttpConfig = Field(default_factory=HttpConfig, description="Health, metrics, API")
    log: LogConfig = Field(default_factory=LogConfig, description="Log")

    @field_validator("callbacks", mode="after")
    @classmethod
    def _revisions_without_kafka(
        cls, callbacks: tuple[CallbackConfig, ...], info: ValidationInfo
    ) -> tuple[CallbackConfig, ...]:
        """Without Kafka a callback is the only way out, so it gets revisions unless it says otherwise."""
        if info.data.get("kafka") is not None:
            return callbacks
        return tuple(
            callback if "revisions" in callback.model_fields_set else callback.model_copy(update={"revisions": True})
            for callback in callbacks
        )

    def recordings_directory(self, source: SourceConfig) -> Path:
        """Where the recordings of a source are stored; a relative one lies beside the journal."""
        beside = self.journal.path.parent if self.journal.url.startswith(SQLITE) else Path()
        return beside / source.recordings.directory

    def secrets(self) -> Iterator[tuple[tuple[str | int, ...], Secret]]:
        """Every secret with its key path."""
        yield from _secrets(self, ())


def _secrets(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Secret]]:
    if isinstance(value, Secret):
        yield path, value
    elif isinstance(value, Section):
        for key in type(value).model_fields:
            yield from _secrets(getattr(value, key), (*path, key))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _secrets(item, (*path, key))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _secrets(item, (*path, index))
