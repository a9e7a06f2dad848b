"""What intake, push, unpack and publish need of the journal."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from relay.domain.figures import Recorded
from relay.domain.report import Decoded, Entry, GapCause, Origin, Stream


class Lease(NamedTuple):
    """Ownership of one piece of work (`stream/acme/sms`, `callback/billing/acme/sms`); `token` grows by owner."""

    name: str
    owner: str
    token: int


class Fetch(NamedTuple):
    """One response of a one-time endpoint as received. `body` has its content coding removed as far as it went."""

    origin: Origin
    requested_at_ms: int
    received_at_ms: int
    status: int
    content_type: str
    body: bytes
    complete: bool
    """False when the connection ended before the body did."""
    entries_estimate: int
    """About how many reports it holds: paces polling and counts as unpublished until unpacked; nothing else."""
    base_url: str = ""
    """Against which a relative recordedAudioFileUrl is resolved."""


class ClaimedFetch(NamedTuple):
    """A fetch to unpack; `claims` counts this claim too."""

    id: int
    stream: Stream
    claims: int
    fetch: Fetch


class StreamState(NamedTuple):
    """What the journal knows of a stream when it is taken over."""

    first_poll_at_ms: int | None
    last_success_at_ms: int | None
    interrupted_poll_at_ms: int | None
    """A poll mark was found: its gap has been opened in the same transaction."""
    last_seq: int
    drained_at_ms: int | None = None
    """When the queue was last known to be empty: nothing that waits unread is older."""


class Pressure(NamedTuple):
    """Why polling should wait, if it should."""

    unpublished: int
    """Entries after the slowest required cursor of the stream, plus the estimates of fetches not yet unpacked."""
    free_bytes: int


class LocalCursor(NamedTuple):
    """The journal's copy of a subscription's cursor: all entries up to `position` are passed."""

    position: int
    cluster_id: str | None
    at_ms: int


class Displaced(NamedTuple):
    """An entry that gave way to a record of Kafka's."""

    seq: int
    """Its new one."""
    message_id: str
    value: bytes


class AdoptedRecord(NamedTuple):
    """A record found in Kafka that a restored journal does not know: entered as already published."""

    seq: int
    message_id: str
    revision: int
    type: int
    origin: Origin
    received_at_ms: int
    outcome: str
    final: bool
    status_group: int | None
    value: bytes


class IntakeJournal(Protocol):
    """For `intake`."""

    async def open_stream(self, lease: Lease, stream: Stream, at_ms: int) -> StreamState: ...
    async def mark_poll(self, lease: Lease, stream: Stream, at_ms: int) -> None:
        """Durable before the request is sent."""

    async def append_fetch(self, lease: Lease | None, stream: Stream, fetch: Fetch, gap: GapCause | None) -> int:
        """Append the body whoever holds the lease by now; clear our own mark; open the gap, if any.

        Without a lease: what was pushed, which is no poll's answer and touches no mark.
        """

    async def end_poll(self, lease: Lease, stream: Stream, at_ms: int, gap: GapCause | None, *, success: bool) -> None:
        """A poll that brought no body: clear our mark, note the success (204) or open a gap."""

    async def note_unread(self, lease: Lease, stream: Stream, at_ms: int) -> None:
        """No successful poll for 47 hours: open the gap `unread` (once)."""

    async def pressure(self, stream: Stream) -> Pressure: ...


class PushJournal(Protocol):
    """For what is pushed to us, at whichever replica it arrives."""

    async def append_fetch(self, lease: Lease | None, stream: Stream, fetch: Fetch, gap: GapCause | None) -> int: ...
    async def pressure(self, stream: Stream) -> Pressure: ...


class UnpackJournal(Protocol):
    """For `unpack`. A fetch is offered only once its stream's cursor was confirmed since take-over."""

    async def claim_fetch(self, stream: Stream, at_ms: int) -> ClaimedFetch | None:
        """The oldest fetch of the stream, counted; None if there is none or the oldest is claimed elsewhere."""

    async def record_reports(self, claimed: ClaimedFetch, decoded: Decoded, gap: GapCause | None) -> Recorded:
        """One transaction: append what is new, drop duplicates, open the gap, release the fetch."""

    async def quarantine_fetch(self, claimed: ClaimedFetch, reason: str) -> Recorded:
        """The whole fetch to quarantine, after it failed three times."""


class PublishJournal(Protocol):
    """For `publish`."""

    async def local_cursor(self, stream: Stream) -> LocalCursor | None: ...
    async def confirm_cursor(
        self, lease: Lease, stream: Stream, position: int, cluster_id: str | None, at_ms: int
    ) -> None:
        """The cursor was read: seqs may be given from now on, none of them at or below `position`."""

    async def confirm_without_kafka(self, lease: Lease, stream: Stream) -> None:
        """There is no Kafka in the configuration: seqs may be given at once, and no Kafka cursor holds pruning."""

    async def adopt_published(
        self, lease: Lease, stream: Stream, records: Sequence[AdoptedRecord], position: int
    ) -> list[Displaced]:
        """Enter records that Kafka holds and this (restored) journal does not, and raise the next seq.

        An entry whose seq Kafka gave to another record keeps what it holds and gets a seq after `position`, the
        cursor: it will be published."""

    async def pass_over(self, lease: Lease, stream: Stream, seqs: Sequence[int]) -> None:
        """Kafka holds the same under another seq: these are not published."""

    async def read_stream(self, stream: Stream, after_seq: int, limit: int, max_bytes: int) -> list[Entry]: ...
    async def advance(self, lease: Lease, stream: Stream, position: int, cluster_id: str | None, at_ms: int) -> None:
        """Keep the local copy of the Kafka cursor."""

    async def refuse_record(self, lease: Lease, stream: Stream, seq: int, reason: str, at_ms: int) -> None:
        """Mark one entry refused and append its quarantine entry, in one transaction."""
