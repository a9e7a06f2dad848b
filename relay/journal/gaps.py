"""Open gaps, the scans that serve them, and what scans find: appended on the way that all reports take."""

from array import array
from collections.abc import Sequence
from itertools import groupby

import apsw

from relay.domain.dedup import decide
from relay.domain.gaps import EndedGap, GapEnding, OpenGap, Scan, StreamGaps
from relay.domain.log_rows import FoundRow
from relay.domain.report import Entry, Origin, Report, Stream
from relay.domain.timestamps import epoch_ms
from relay.journal import ids, streams
from relay.journal.recording import record_found
from relay.journal.sql import load
from relay.journal.statements import Row
from relay.journal.streams import StreamRow
from relay.ports import ClaimedFetch, Fetch, Lease, LeaseLost, LogsRecorded, NewScan, ScanProgress

_SQL = load("gaps")

_LOOKED_AT = 4
"""So many times the delays that are asked for are looked at, at most: entries from the logs do not count."""


def open_gaps(db: apsw.Connection, stream: Stream) -> StreamGaps:
    row = db.execute(_SQL["stream"], stream).fetchone()
    if row is None:
        return StreamGaps(None, None, None, (), ())
    stream_id, first_poll_at_ms, drained_at_ms, pending_since_ms = row
    return StreamGaps(
        first_poll_at_ms,
        drained_at_ms,
        pending_since_ms,
        tuple(OpenGap(*gap) for gap in db.execute(_SQL["open"], (stream_id,))),
        tuple(Scan(*scan) for scan in db.execute(_SQL["scans"], (stream_id,))),
    )


def arrival_delays_ms(db: apsw.Connection, stream: Stream, most: int) -> list[int]:
    row = streams.find(db, stream)
    if row is None:
        return []
    newest = row.base + row.last_seq
    oldest = max(row.base, newest - most * _LOOKED_AT)
    rows: list[Row] = db.execute(_SQL["arrivals"], (oldest, newest, most)).fetchall()
    sent = ((received_ms, epoch_ms(sent_at)) for received_ms, sent_at in rows if isinstance(sent_at, str))
    return [max(0, received_ms - sent_ms) for received_ms, sent_ms in sent if sent_ms is not None]


def begin_scan(db: apsw.Connection, lease: Lease, stream: Stream, scan: NewScan) -> None:
    streams.check_lease(db, lease)
    row = streams.find_or_add(db, stream)
    scan_id = scan.scan_id
    if scan_id is None:
        db.execute(_SQL["begin"], (row.id, scan.upper_ms, scan.front_ms))
        scan_id = db.last_insert_rowid()
    else:
        db.execute(_SQL["begin_anew"], (scan_id, scan.upper_ms, scan.front_ms))
        db.execute(_SQL["release"], (row.id, scan_id))
    db.execute(_SQL["serve"], (scan_id, row.id, apsw.carray(array("q", scan.gap_ids))))


def record_logs(
    db: apsw.Connection,
    lease: Lease,
    stream: Stream,
    found: Sequence[FoundRow],
    earlier: Sequence[Report],
    progress: ScanProgress | None,
    at_ms: int,
) -> tuple[LogsRecorded, list[Entry]]:
    """:raises LeaseLost: also if the scan was ended since."""
    streams.check_lease(db, lease)
    row = streams.find_or_add(db, stream)
    by_gap = [(gap_id, [row.report for row in rows]) for gap_id, rows in groupby(_by_gap(found), key=_gap_key)]
    appended, counts = record_found(db, row, _as_claimed(stream, at_ms), [reports for _, reports in by_gap])
    for (gap_id, _), count in zip(by_gap, counts, strict=True):
        if count and gap_id:
            db.execute(_SQL["recover"], (gap_id, count))
    unknown = sum(_unknown(db, row, earlier))
    if progress is not None:
        db.execute(_SQL["progress"], (*progress, unknown))
        if not db.changes():
            raise LeaseLost(f"the scan {progress.scan_id} of {stream} has ended")
    return LogsRecorded(appended.recorded, unknown), appended.entries


def unknown_reports(db: apsw.Connection, stream: Stream, reports: Sequence[Report]) -> list[bool]:
    row = streams.find(db, stream)
    return [True] * len(reports) if row is None else _unknown(db, row, reports)


def end_gaps(
    db: apsw.Connection, lease: Lease, stream: Stream, endings: Sequence[GapEnding], scan_id: int | None, at_ms: int
) -> list[EndedGap]:
    streams.check_lease(db, lease)
    row = streams.find_or_add(db, stream)
    ended = []
    for gap_id, until_ms, state, from_ms, compared_until_ms in endings:
        bindings = (gap_id, row.id, until_ms, state, at_ms, from_ms, compared_until_ms)
        found = db.execute(_SQL["end"], bindings).fetchone()
        if found is not None:
            ended.append(EndedGap(gap_id, state, found[0]))
    if scan_id is not None:
        db.execute(_SQL["release"], (row.id, scan_id))
        db.execute(_SQL["end_scan"], (scan_id, row.id))
    return ended


def _unknown(db: apsw.Connection, row: StreamRow, reports: Sequence[Report]) -> list[bool]:
    key_of = ids.keys_of(row.id)
    keys = [key_of(report.message_id) for report in reports]
    seen = ids.look_up(db, keys)
    return [
        key not in seen or decide(seen[key].known, report, Origin.LOGS) is not None
        for key, report in zip(keys, reports, strict=True)
    ]


def _gap_key(row: FoundRow) -> int:
    return row.gap_id or 0


def _by_gap(found: Sequence[FoundRow]) -> list[FoundRow]:
    return sorted(found, key=_gap_key)


def _as_claimed(stream: Stream, at_ms: int) -> ClaimedFetch:
    """What stands for the fetch that a report from the logs never had."""
    return ClaimedFetch(0, stream, 0, Fetch(Origin.LOGS, at_ms, at_ms, 200, "", b"", True, 0))
