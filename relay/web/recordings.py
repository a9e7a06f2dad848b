"""`/api/v1/recordings/{source}/{messageId}`: a stored recording of a call, whole or a range of it."""

from collections.abc import Mapping

import structlog
from aiohttp import web

from relay.domain.identity import LONGEST_MESSAGE_ID
from relay.ports import RecordingShelf
from relay.web.problem import problem

log = structlog.get_logger(__name__)

PATH = "/api/v1/recordings/{source}/{message_id}"
HEADERS = {"Content-Type": "audio/wav", "X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-store"}


class RecordingRoutes:
    """The handler. `shelves` by source: a name that is not configured leads nowhere."""

    def __init__(self, shelves: Mapping[str, RecordingShelf]) -> None:
        self._shelves = shelves

    def add_to(self, application: web.Application) -> None:
        application.router.add_get(PATH, self._get)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        """As a file: ranges and conditions are answered as HTTP has them."""
        shelf = self._shelves.get(request.match_info["source"])
        message_id = request.match_info["message_id"]
        if shelf is None or len(message_id) > LONGEST_MESSAGE_ID:
            return problem(404, "no recording of that message is stored")
        try:
            file = await shelf.find(request.match_info["source"], message_id)
        except OSError as error:
            log.warning("recordings cannot be read", source=request.match_info["source"], error=str(error))
            return problem(503, "the recordings cannot be read; the log says more")
        if file is None:
            return problem(404, "no recording of that message is stored")
        return web.FileResponse(file, headers=HEADERS)
