"""Whether a report is new, a duplicate or a revision, from what is known of its messageId.

A report's identity within its stream is (messageId, outcome). The journal keeps `Known` as two opaque columns.
`Known.outcomes` is read and written here only: the outcomes seen, oldest first, separated by spaces; ``~`` after one
that only the logs have told so far; a leading ``!`` once a final outcome was seen.
"""

from typing import NamedTuple

from relay.domain.report import EntryType, Origin, Report

_FINAL_SEEN = "!"
_LOGS_ONLY = "~"
_MOST_OUTCOMES = 32
"""An id with more outcomes forgets the oldest: a repeat of that is a revision again, which loses nothing."""


class Known(NamedTuple):
    """What the index of ids holds for one messageId: outcomes seen (opaque) and the number of the latest revision."""

    outcomes: str
    revision: int


class Decision(NamedTuple):
    """Append the report as `type`, with this revision number, and keep `known` for its messageId."""

    type: EntryType
    revision: int
    known: Known


def decide(known: Known | None, report: Report, origin: Origin) -> Decision | None:
    """What to do with a report whose messageId is `known` (None: never seen). None: a duplicate, to be dropped.

    - The first report is the event: REPORT.
    - The first final outcome, and a report by poll or push for a row that only the logs have told (also of the same
      outcome: it is fuller), is a COMPLETION.
    - Any other outcome not seen before is a REVISION; a row from the logs never repeats what is known.
    """
    if known is None:
        return Decision(EntryType.REPORT, 1, Known(_first_outcomes(report, origin), 1))
    final_seen = known.outcomes.startswith(_FINAL_SEEN)
    seen = known.outcomes.removeprefix(_FINAL_SEEN).split(" ")
    if report.outcome in seen:
        return None
    from_logs = origin is Origin.LOGS
    told_by_logs = report.outcome + _LOGS_ONLY in seen
    if told_by_logs and from_logs:
        return None
    fuller = not from_logs and (told_by_logs or seen[-1].endswith(_LOGS_ONLY))
    completes = fuller or (report.final and not final_seen)
    revision = known.revision + 1
    outcomes = _with_outcome(seen, report.outcome, from_logs=from_logs, final_seen=final_seen or report.final)
    return Decision(EntryType.COMPLETION if completes else EntryType.REVISION, revision, Known(outcomes, revision))


def _first_outcomes(report: Report, origin: Origin) -> str:
    token = report.outcome if origin is not Origin.LOGS else report.outcome + _LOGS_ONLY
    return _FINAL_SEEN + token if report.final else token


def _with_outcome(seen: list[str], outcome: str, *, from_logs: bool, final_seen: bool) -> str:
    """The outcomes with one more at the end; what only the logs had told is replaced by the fuller report."""
    told = [token for token in seen if token != outcome + _LOGS_ONLY]
    told.append(outcome + _LOGS_ONLY if from_logs else outcome)
    return (_FINAL_SEEN if final_seen else "") + " ".join(told[-_MOST_OUTCOMES:])
