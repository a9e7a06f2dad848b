"""`/api/v1/cursors`: how far each stream has come in Kafka; where to begin, when the brokers are another cluster's."""

from collections.abc import Callable
from typing import Any

import orjson
import structlog
from aiohttp import web

from relay.domain.cursor import Begin, KafkaCursor
from relay.domain.report import Stream
from relay.observe import Health
from relay.ports import CursorJournal, CursorOutside
from relay.web.answering import answering, as_json
from relay.web.problem import problem
from relay.web.query import WrongQuery
from relay.web.status import rfc3339

log = structlog.get_logger(__name__)

PATH = "/api/v1/cursors"


class CursorRoutes:
    """The handlers. The publisher that waits looks at the journal's copy again by itself."""

    def __init__(self, journal: CursorJournal, *, health: Health, now_ms: Callable[[], int]) -> None:
        self._journal = journal
        self._health = health
        self._now_ms = now_ms

    def add_to(self, application: web.Application) -> None:
        application.router.add_get(PATH, answering(self._list))
        application.router.add_put(PATH + "/{source}/{kind}", answering(self._place))

    async def _list(self, _request: web.Request) -> web.Response:
        return as_json({"cursors": [self._shown(cursor) for cursor in await self._journal.kafka_cursors()]})

    async def _place(self, request: web.Request) -> web.Response:
        stream = Stream(request.match_info["source"], request.match_info["kind"])
        before = next((one for one in await self._journal.kafka_cursors() if one.stream == stream), None)
        if before is None:
            return _none(stream)
        begin = begin_asked(await request.read())
        if self._degraded(stream) is None:
            return problem(409, f"{stream} is being published: there is nothing to decide")
        try:
            placed = await self._journal.place_kafka_cursor(stream, begin, self._now_ms())
        except CursorOutside as outside:
            raise WrongQuery(_range(before, begin, outside)) from None
        if placed is None:
            return _none(stream)
        log.warning(
            "cursor placed by an operator",
            stream=str(stream), after_seq=placed.position, was=before.position, cluster=before.cluster_id,
        )  # fmt: skip
        return as_json(self._shown(placed))

    def _shown(self, cursor: KafkaCursor) -> dict[str, Any]:
        return {
            "source": cursor.stream.source,
            "kind": cursor.stream.kind,
            "position": cursor.position,
            "last_seq": cursor.last_seq,
            "earliest": cursor.earliest,
            "cluster_id": cursor.cluster_id,
            "at": rfc3339(cursor.at_ms),
            "degraded": self._degraded(cursor.stream),
        }

    def _degraded(self, stream: Stream) -> str | None:
        """Why it is not published; None if it is."""
        return self._health.degraded.get(f"publish/{stream}")


def begin_asked(body: bytes) -> int | Begin:
    """`{"after": 4711}`, `{"after": "kept"}` or `{"after": "earliest"}`. Raises WrongQuery."""
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict) or set(given) != {"after"}:
        raise WrongQuery('send a JSON object with "after", for example {"after": "kept"}')
    after = given["after"]
    if isinstance(after, str) and after in set(Begin):
        return Begin(after)
    if not isinstance(after, int) or isinstance(after, bool) or after < 0:
        raise WrongQuery("after must be kept, earliest, or the relay_seq of the last entry that is not sent")
    return after


def _range(cursor: KafkaCursor, begin: int | Begin, outside: CursorOutside) -> str:
    meant = f" (kept is {cursor.position})" if begin is Begin.KEPT else ""
    return (
        f"after must be from {outside.earliest} to {outside.last_seq}{meant}: the journal has given up what is earlier "
        f"of {cursor.stream}, and has nothing later"
    )


def _none(stream: Stream) -> web.Response:
    return problem(404, f"there is no stream {stream} that was published to Kafka")
