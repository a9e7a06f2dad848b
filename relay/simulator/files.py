"""The recordings that voice reports point to: short, always the same for the same message."""

import asyncio
import hashlib
import math
import struct

from aiohttp import web

from relay.simulator.answering import WAVE, answer, refusal
from relay.simulator.faults import FILES, Faults
from relay.simulator.options import Credentials
from relay.simulator.refusals import Refused, authorized
from relay.simulator.transmission import Transmission

RATE_HERTZ = 8000
LOUDNESS = 8000


class FilesEndpoint:
    """GET of `/tts/3/files/{messageId}/{to}`. Repeatable; every message has been recorded."""

    def __init__(self, *, faults: Faults, credentials: Credentials, stopping: asyncio.Event) -> None:
        self.requests = 0
        self._faults = faults
        self._credentials = credentials
        self._stopping = stopping

    async def get(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        if not authorized(request.headers.get("Authorization"), self._credentials):
            return refusal(Refused(401))
        fault = self._faults.draw(FILES)
        transmission = Transmission(request)
        body = recording(request.match_info["message_id"])
        await answer(transmission, fault, body, compressed=False, stopping=self._stopping, headers=WAVE)
        return transmission.finished()


def recording(message_id: str) -> bytes:
    """A tone of 0.1 to 1.3 seconds: RIFF/WAVE, PCM, 16 bit signed little-endian, 8 kHz, one channel."""
    digest = hashlib.sha256(message_id.encode()).digest()
    frames = RATE_HERTZ // 10 + digest[0] * RATE_HERTZ // 213
    step = 2 * math.pi * (200 + digest[1]) / RATE_HERTZ
    data = struct.pack(f"<{frames}h", *(int(LOUDNESS * math.sin(step * frame)) for frame in range(frames)))
    head = struct.pack("<HHIIHH", 1, 1, RATE_HERTZ, RATE_HERTZ * 2, 2, 16)
    inner = b"WAVEfmt " + struct.pack("<I", len(head)) + head + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(inner)) + inner
