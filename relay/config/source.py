"""One account at one base URL: how to log in, what to read and how often."""

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from relay.config.fields import BaseUrl, Count, FilePath, Hours, Limit, Line, Name, Seconds, Section, UrlPath
from relay.config.secret import Secret


class Generation(NamedTuple):
    """Where one generation of the API serves the reports of a kind, and the logs that go with them."""

    reports_path: str
    logs_path: str


GENERATIONS = {
    "sms": {1: Generation("/sms/1/reports", "/sms/1/logs"), 3: Generation("/sms/3/reports", "/sms/3/logs")},
    "voice": {3: Generation("/tts/3/reports", "/tts/3/logs"), 1: Generation("/voice/1/reports", "/tts/3/logs")},
}
"""By kind and `version`; the first is the one that is read where none is named."""


class AuthConfig(Section):
    """How the relay authorises itself at the source."""

    type: Literal["basic", "api_key", "bearer", "ibsso"] = Field(
        description="`basic` takes username and password; `api_key` (sent as `App`), `bearer` and `ibsso` a token"
    )
    username: Line | None = Field(default=None, description="User name, for `basic`")
    password: Secret | None = Field(default=None, description="Password, for `basic`; a secret")
    token: Secret | None = Field(default=None, description="Token, for all types but `basic`; a secret")


class PollConfig(Section):
    """How an endpoint is polled."""

    limit: Limit = Field(
        default=1000, description="Most reports in one answer; an answer of 50 or more is followed by the next poll"
    )
    interval_seconds: Seconds = Field(default=0.5, description="Wait after an answer that held fewer than 50 reports")
    max_interval_seconds: Seconds = Field(default=5.0, description="To which the wait grows while nothing comes")
    timeout_seconds: Seconds = Field(default=30.0, description="For one request, from connecting to the last byte")
    max_body_bytes: Count = Field(
        default=67_108_864, description="Largest body taken, also after decompression; what exceeds it is a gap"
    )


class EndpointConfig(Section):
    """One one-time endpoint; `sms` or `voice` alone stands for `{kind: …}`."""

    kind: Name = Field(description="`sms`, `voice` or a name of yours (which needs a path); names topic and stream")
    path: UrlPath | None = Field(default=None, description="Path of the one-time endpoint below base_url")
    logs_path: UrlPath | None = Field(default=None, description="Path of the logs endpoint that gaps are closed from")
    version: Count | None = Field(
        default=None,
        description="Generation of the API: sms has 1 (/sms/1, the default) and 3 (/sms/3), voice has 3 (/tts/3, the "
        "default) and 1 (/voice/1); all give the same events",
    )
    poll: PollConfig | None = Field(default=None, description="As the source's poll; keys given here win over those")

    @property
    def generation(self) -> Generation | None:
        """The one that is read; None for a kind of one's own, or a version that does not exist (load() refuses it)."""
        known = GENERATIONS.get(self.kind, {})
        return known.get(self.version) if self.version is not None else next(iter(known.values()), None)

    @property
    def reports_path(self) -> str:
        """Where reports are read. Raises KeyError for a kind of one's own without a path (load() refuses it)."""
        if self.path is not None:
            return self.path
        if self.generation is None:
            raise KeyError(self.kind)
        return self.generation.reports_path

    @property
    def known_logs_path(self) -> str | None:
        """Where gaps are closed from; None: an endpoint of one's own whose logs nobody named."""
        if self.logs_path is not None or self.path is not None or self.generation is None:
            return self.logs_path
        return self.generation.logs_path


class PushConfig(Section):
    """Infobip's own notifyUrl push as a second way in."""

    enabled: bool = Field(default=False, description="Take reports at POST /push/{source}/{kind}")
    token: Secret | None = Field(
        default=None, description="What the pusher must present, as bearer token or as password; a secret"
    )


class ReconcileConfig(Section):
    """Getting back from the logs endpoint what was lost in flight."""

    enabled: bool = Field(
        default=True,
        description="Close gaps from the logs endpoint; `false`: they stay open until the logs hold nothing of them",
    )
    settle_seconds: Seconds = Field(
        default=600.0,
        description="Wait before a gap is compared with the logs; ten times as long while the queue is never empty",
    )
    lookback_hours: Hours = Field(
        default=48.0, description="How far back the logs are searched; Infobip keeps them for 48 hours"
    )
    requests_per_minute: Count = Field(
        default=60,
        description="Most requests to the source's logs endpoints in a minute, evenly spread; Infobip allows 120",
    )


class RecordingsConfig(Section):
    """Fetching the recordings that voice reports point to."""

    enabled: bool = Field(default=False, description="Fetch and keep recordings of calls")
    directory: Path = Field(
        default=Path("recordings"),
        description="Where recordings are stored, by source and day; relative to the journal's directory",
    )


def _endpoint(given: Any) -> Any:
    return {"kind": given} if isinstance(given, str) else given


Endpoint = Annotated[EndpointConfig, BeforeValidator(_endpoint, json_schema_input_type=Name | EndpointConfig)]


class SourceConfig(Section):
    """One account at one base URL."""

    name: Name = Field(description="Names the source in events, metrics and paths; never change it")
    base_url: BaseUrl = Field(
        description="Your API host, for example https://xyz.api.infobip.com; a path prefix is kept"
    )
    auth: AuthConfig = Field(description="How to log in")
    format: Literal["json", "xml"] = Field(default="json", description="What the API is asked for")
    poll: PollConfig = Field(default_factory=PollConfig, description="How endpoints are polled")
    endpoints: Annotated[tuple[Endpoint, ...], Field(min_length=1)] = Field(
        default=(EndpointConfig(kind="sms"), EndpointConfig(kind="voice")),
        description="What is read: names of kinds, or mappings with the keys below",
        validate_default=True,
    )
    push: PushConfig = Field(default_factory=PushConfig, description="Reports pushed by Infobip")
    reconcile: ReconcileConfig = Field(default_factory=ReconcileConfig, description="Recovery from the logs endpoint")
    recordings: RecordingsConfig = Field(default_factory=RecordingsConfig, description="Recordings of calls")
    proxy: Secret | None = Field(
        default=None, description="http:// URL of a proxy; it may hold a user name and password, so it is a secret"
    )
    ca_file: FilePath | None = Field(
        default=None, description="PEM file of the authorities to trust instead of the system's"
    )

    @field_validator("endpoints", mode="after")
    @classmethod
    def _own_poll_wins(cls, endpoints: tuple[EndpointConfig, ...], info: ValidationInfo) -> tuple[EndpointConfig, ...]:
        poll: PollConfig | None = info.data.get("poll")
        if poll is None:
            return endpoints
        return tuple(endpoint.model_copy(update={"poll": merged_poll(poll, endpoint.poll)}) for endpoint in endpoints)

    def poll_for(self, kind: str) -> PollConfig:
        """How this kind is polled: the endpoint's keys over the source's."""
        own = next(endpoint.poll for endpoint in self.endpoints if endpoint.kind == kind)
        return own or self.poll


def merged_poll(common: PollConfig, own: PollConfig | None) -> PollConfig:
    """`common` with the keys that `own` was given."""
    if own is None:
        return common
    return common.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})
