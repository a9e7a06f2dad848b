"""HTTP callbacks: where reports are posted to, which of them, and how persistently."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from relay.config.fields import Count, FilePath, Hours, HttpUrl, Name, Seconds, Section, Wait, Whole, wrong
from relay.config.secret import Secret

STATUS_GROUPS = {"ACCEPTED": 0, "PENDING": 1, "UNDELIVERABLE": 2, "DELIVERED": 3, "EXPIRED": 4, "REJECTED": 5}


def _status_group(given: Any) -> Any:
    if isinstance(given, str) and not given.isdecimal():
        group = STATUS_GROUPS.get(given.upper())
        if group is None:
            raise wrong("must be a number, or one of " + ", ".join(STATUS_GROUPS))
        return group
    return given


StatusGroup = Annotated[
    Whole,
    BeforeValidator(_status_group, json_schema_input_type=int | Literal[tuple(STATUS_GROUPS)]),
]


class RetryConfig(Section):
    """When a failed delivery is tried again, and when it is given up."""

    initial_seconds: Seconds = Field(default=5.0, description="Ceiling of the first wait; each later one doubles it")
    max_seconds: Seconds = Field(default=36_000.0, description="Ceiling that no wait exceeds")
    max_age_seconds: Seconds = Field(
        default=259_200.0, description="Age at which a delivery is given up and becomes a dead letter"
    )


class CallbackConfig(Section):
    """One receiver of reports over HTTP."""

    name: Name = Field(description="Names the callback in metrics and the journal; keeps its place in each stream")
    url: HttpUrl = Field(description="Where reports are posted to")
    secrets: tuple[Secret, ...] = Field(
        default=(),
        description="Standard Webhooks secrets (`whsec_…`): the first signs, so do the others while rotating",
    )
    kinds: Annotated[tuple[Name, ...], Field(min_length=1)] | None = Field(
        default=None, description="Only reports of these kinds; left out: all"
    )
    sources: Annotated[tuple[Name, ...], Field(min_length=1)] | None = Field(
        default=None, description="Only reports of these sources; left out: all"
    )
    status_groups: Annotated[tuple[StatusGroup, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="Only reports of these status groups, as name (`DELIVERED`) or number (3); left out: all",
    )
    format: Literal["report", "infobip"] = Field(
        default="report", description="The event as in Kafka, or Infobip's own `results`"
    )
    revisions: bool = Field(
        default=False, description="Post later reports of the same message too; true when there is no Kafka"
    )
    batch_size: Count = Field(default=1, description="Reports in one POST at most")
    linger_seconds: Wait = Field(default=0.1, description="Wait for a batch to fill")
    concurrency: Count = Field(default=16, description="POSTs in flight at most")
    rate_per_second: Seconds | None = Field(default=None, description="POSTs in a second at most; left out: no limit")
    timeout_seconds: Seconds = Field(default=15.0, description="For one POST, from connecting to the whole answer")
    retry: RetryConfig = Field(default_factory=RetryConfig, description="Retries")
    max_backlog: Count = Field(
        default=1_000_000, description="Reports waiting at most; the oldest beyond become dead letters"
    )
    dead_letter_hours: Hours = Field(default=720.0, description="How long a dead letter is kept")
    start: Literal["latest", "earliest"] = Field(
        default="latest", description="Where a new callback begins: after the newest report, or with the oldest kept"
    )
    allow_private: bool = Field(
        default=True,
        description="`false`: post to public addresses only; link-local and metadata addresses are refused anyway",
    )
    ca_file: FilePath | None = Field(
        default=None, description="PEM file of the authorities to trust instead of the system's"
    )
    cert_file: FilePath | None = Field(default=None, description="PEM file of the client's certificate")
    key_file: FilePath | None = Field(default=None, description="PEM file of the key to cert_file")
    headers: dict[str, Secret] = Field(
        default_factory=dict, description="Headers to add; values are secrets, a file each if you like"
    )
