"""`/api/v1/dead-letters`: deliveries given up; looked at, put back to be sent again, dropped."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog
from aiohttp import web

from relay.domain.history import DeadLetter, DeadLetterContent, DeadLetterFilter
from relay.domain.report import Stream
from relay.observe.redact import mask
from relay.ports import Backlog, DeadLetterJournal, ReplayTarget
from relay.web.answering import MOST_ID, ONE, answering, as_json, id_in
from relay.web.history import attempt, report
from relay.web.problem import problem
from relay.web.query import WrongQuery, moment_ms, text, whole
from relay.web.status import rfc3339

log = structlog.get_logger(__name__)

PATH = "/api/v1/dead-letters"
DEFAULT_LIMIT = 100
MOST_LIMIT = 1000
MOST_STATUS = 999
AHEAD_REPORTS = 5000
"""Dead letters are put back many at once only while fewer reports than this wait at their callback."""


class Letters(DeadLetterJournal, Protocol):
    """What the routes need of the journal."""

    async def backlog(self, callback: str, stream: Stream) -> Backlog: ...


class DeadLetterRoutes:
    """The handlers. `target_of` gives a callback by its name, None if there is none now; `stored` tells its sender."""

    def __init__(
        self,
        journal: Letters,
        *,
        target_of: Callable[[str], ReplayTarget | None],
        stored: Callable[[str, Stream], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._journal = journal
        self._target_of = target_of
        self._stored = stored
        self._now_ms = now_ms

    def add_to(self, application: web.Application) -> None:
        application.router.add_get(PATH, answering(self._list))
        application.router.add_post(PATH + "/replay", answering(self._replay_many))
        application.router.add_post(PATH + "/drop", answering(self._drop_many))
        application.router.add_get(PATH + ONE, answering(self._show))
        application.router.add_post(PATH + ONE + "/replay", answering(self._replay))
        application.router.add_delete(PATH + ONE, answering(self._drop))

    async def _list(self, request: web.Request) -> web.Response:
        found, limit = await self._found(request)
        following = found[-1].id if len(found) == limit else None
        return as_json({"dead_letters": [_letter(one) for one in found], "next": following})

    async def _show(self, request: web.Request) -> web.Response:
        found = await self._journal.find_dead_letter(id_in(request))
        return _none(request) if found is None else as_json(_content(found))

    async def _replay(self, request: web.Request) -> web.Response:
        found = await self._journal.find_dead_letter(id_in(request))
        if found is None:
            return _none(request)
        letter = found.letter
        if self._target_of(letter.callback) is None:
            return problem(409, f"there is no callback {letter.callback} in the configuration that could get it")
        if not await self._revive([letter.id]):
            return problem(409, f"dead letter {letter.id} has no body any more, or is being sent: nothing was done")
        return as_json({"id": letter.id, "replayed": True, "reports": len(letter.message_ids)})

    async def _replay_many(self, request: web.Request) -> web.Response:
        """A page of them, as far as their callbacks can take it; to be asked again until `next` is null."""
        found, limit = await self._found(request)
        known = [letter for letter in found if self._target_of(letter.callback) is not None]
        fitting, busy = await self._fitting(known)
        revived = await self._revive([letter.id for letter in fitting])
        last = found[-1].id if len(found) == limit else None
        if busy is not None:
            last = fitting[-1].id if fitting else whole(request.query, "after", 0, 0, MOST_ID)
            found = [letter for letter in found if letter.id <= last]
        return as_json(
            {
                "replayed": len(revived),
                "unconfigured": len(found) - sum(letter in known for letter in found),
                "without_body": len(fitting) - len(revived),
                "busy": busy,
                "next": last,
            }
        )

    async def _drop(self, request: web.Request) -> web.Response:
        id_ = id_in(request)
        if not await self._dropped([id_]):
            return _none(request)
        return as_json({"id": id_, "dropped": True})

    async def _drop_many(self, request: web.Request) -> web.Response:
        """A page of them; to be asked again until `next` is null."""
        found, limit = await self._found(request)
        dropped = await self._dropped([letter.id for letter in found])
        return as_json({"dropped": len(dropped), "next": found[-1].id if len(found) == limit else None})

    async def _found(self, request: web.Request) -> tuple[list[DeadLetter], int]:
        """A page by the request's filters, and how many it may hold."""
        query = request.query
        limit = whole(query, "limit", DEFAULT_LIMIT, 1, MOST_LIMIT)
        after_id = whole(query, "after", 0, 0, MOST_ID)
        wanted = _wanted(query, self._now_ms())
        found = await self._journal.list_dead_letters(wanted, after_id=after_id, limit=limit)
        if not found and not after_id and wanted.callback is not None:
            await self._refuse_unknown(wanted.callback)
        return found, limit

    async def _refuse_unknown(self, callback: str) -> None:
        """Raises WrongQuery; but one that was configured once may have left dead letters."""
        wanted = DeadLetterFilter(callback=callback)
        if self._target_of(callback) is None and not await self._journal.list_dead_letters(wanted, after_id=0, limit=1):
            raise WrongQuery(f"there is no callback {callback} in the configuration, nor a dead letter of it")

    async def _fitting(self, letters: Sequence[DeadLetter]) -> tuple[list[DeadLetter], str | None]:
        """Those before the first whose callback has enough to do; and the name of that."""
        rooms: dict[tuple[str, Stream], int] = {}
        fitting: list[DeadLetter] = []
        for letter in letters:
            place = letter.callback, letter.stream
            if place not in rooms:
                rooms[place] = await self._room(*place)
            if rooms[place] <= 0:
                return fitting, letter.callback
            rooms[place] -= len(letter.message_ids)
            fitting.append(letter)
        return fitting, None

    async def _room(self, callback: str, stream: Stream) -> int:
        target = self._target_of(callback)
        most = 0 if target is None else min(AHEAD_REPORTS, target.max_backlog // 2)
        return most - (await self._journal.backlog(callback, stream)).stored

    async def _revive(self, ids: Sequence[int]) -> tuple[int, ...]:
        revived = await self._journal.revive_dead_letters(ids, self._now_ms())
        for callback, stream in revived.subscriptions:
            self._stored(callback, stream)
        if revived.ids:
            log.info("dead letters put back", letters=len(revived.ids), reports=revived.reports)
        return revived.ids

    async def _dropped(self, ids: Sequence[int]) -> tuple[int, ...]:
        dropped = await self._journal.drop_dead_letters(ids, self._now_ms())
        if dropped:
            log.info("dead letters dropped", letters=len(dropped))
        return dropped


def _wanted(query: Mapping[str, str], now_ms: int) -> DeadLetterFilter:
    return DeadLetterFilter(
        callback=text(query, "callback"),
        source=text(query, "source"),
        kind=text(query, "kind"),
        since_ms=moment_ms(text(query, "since"), "since", now_ms),
        until_ms=moment_ms(text(query, "until"), "until", now_ms),
        reason=text(query, "reason") or "",
        status=whole(query, "status", 0, 1, MOST_STATUS) or None,
    )


def _letter(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "callback": letter.callback,
        "source": letter.stream.source,
        "kind": letter.stream.kind,
        "message_ids": letter.message_ids,
        "attempts": letter.attempts,
        "status": letter.status,
        "reason": mask(letter.reason),
        "created_at": rfc3339(letter.created_at_ms),
        "dead_at": rfc3339(letter.dead_at_ms),
        "has_body": letter.has_body,
    }


def _content(found: DeadLetterContent) -> dict[str, Any]:
    return {
        **_letter(found.letter),
        "reports": [report(found.letter.stream, member) for member in found.members],
        "attempts_made": [attempt(line) for line in found.attempts],
    }


def _none(request: web.Request) -> web.Response:
    detail = f"there is no dead letter {id_in(request)}; there was none, or it was replayed, dropped, or has expired"
    return problem(404, detail)
