"""Whether there is room to take anything in: for polls and pushes the same bounds."""

from typing import NamedTuple

from relay.domain.sizes import size


class NoRoom(NamedTuple):
    """A fixed word for the metric, a sentence for people."""

    reason: str
    message: str


def no_room(*, unpublished: int, free_bytes: int, max_unpublished: int, min_free_bytes: int) -> NoRoom | None:
    """Why nothing more should be taken in; None: there is room."""
    if free_bytes < min_free_bytes:
        free = f"{size(free_bytes)} free, min_free_bytes is {size(min_free_bytes)}"
        return NoRoom("disk", f"the journal's disk is nearly full: {free}")
    if unpublished >= max_unpublished:
        bound = f"max_unpublished is {max_unpublished:,}"
        return NoRoom("unpublished", f"{unpublished:,} reports are not yet published, {bound}")
    return None
