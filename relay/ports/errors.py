"""The errors that cross the boundary between stages and adapters, and what each lets the caller believe."""


class JournalError(Exception):
    """A journal transaction did not happen. Nothing of it was written; it may be tried again."""


class JournalFull(JournalError):
    """No room: keep what is in hand and try again later; draining goes on."""


class JournalFatal(Exception):
    """The journal can no longer be trusted (I/O or fsync error, damage): the process must end."""


class LeaseLost(JournalError):
    """The work belongs to another owner now; nothing was written."""


class SinkError(Exception):
    """Publishing failed and nothing was committed (or the producer was abandoned before it could be)."""


class SinkUnavailable(SinkError):
    """The cluster cannot be reached or is not ready: try again later."""


class TransactionIndefinite(SinkError):
    """A commit was sent and its answer never came: only the cursor in Kafka knows."""


class ProducerFenced(SinkError):
    """Another producer took the transactional id, or the transaction timed out (it looks the same)."""


class RecordsRefused(SinkError):
    """The broker refused a batch for what a record is (too large, invalid): halve it until one record is left."""


class ReplayOpen(Exception):
    """A replay of the callback, `replay_id`, has not ended: it is resumed or cancelled first."""

    def __init__(self, replay_id: int) -> None:
        super().__init__(f"replay {replay_id} of this callback has not ended")
        self.replay_id = replay_id


class CursorOutside(Exception):
    """A cursor cannot be placed there: the journal holds what follows `earliest`, up to `last_seq`."""

    def __init__(self, earliest: int, last_seq: int) -> None:
        super().__init__(f"outside of {earliest} to {last_seq}")
        self.earliest = earliest
        self.last_seq = last_seq


class StreamBlocked(SinkError):
    """The broker refuses for a reason outside the records (topic missing, ACL, timestamps): this stream waits."""


class LogsUnavailable(Exception):
    """The logs could not be had, although asked several times; ask again later."""

    def __init__(self, reason: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds
        """What the API asks to wait, if it does; capped."""


class LogsRefused(LogsUnavailable):
    """The API does not answer such a request (`status`): asking the same again at once is of no use."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


class ComparisonRefused(Exception):
    """A comparison with the logs cannot be started; `unknown`: because what is to be compared does not exist,
    `wrong`: because it would compare nothing."""

    def __init__(self, reason: str, *, unknown: bool = False, wrong: bool = False) -> None:
        super().__init__(reason)
        self.unknown = unknown
        self.wrong = wrong


class ShelfFull(OSError):
    """There is too little room: what the journal needs comes first."""
