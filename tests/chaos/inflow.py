"""What the simulated API is given, and what it is told to do wrong."""

import asyncio
import json
import random
import time
import urllib.request
from collections.abc import Sequence
from typing import Any

from tests.scene.processes import Simulator

OVERSIZED_CHARACTERS = 500_000
"""Of three bytes each, at random: compressed they are still far above what a broker takes."""


class Inflow:
    """Reports, garbage and faults, and what must be known of them afterwards."""

    def __init__(self, simulator: Simulator, kinds: Sequence[str]) -> None:
        self._simulator = simulator
        self.oversized: set[str] = set()
        self.markers: dict[str, list[str]] = {kind: [] for kind in kinds}

    async def inject(self, *rules: dict[str, Any]) -> None:
        """Faults of the API."""
        await asyncio.to_thread(self._ask_simulator, "faults", list(rules))

    async def clear_faults(self) -> None:
        await asyncio.to_thread(self._ask_simulator, "faults", None, "DELETE")

    async def put_garbage(self, kind: str, form: str) -> None:
        """An entry that is no report, among the others."""
        marker = f"marker-{kind}-{len(self.markers[kind])}-"
        self.markers[kind].append(marker)
        broken = f'{{"messageId": "x-{marker}", "callbackData": "{marker}", "status": oops]'
        entry = broken if form == "broken" else {"callbackData": marker, "status": {"id": 5}}
        await self._put(kind, entry)

    async def put_oversized(self, kind: str, chance: random.Random) -> None:
        """A report that no broker takes."""
        message_id = f"oversized-{len(self.oversized)}"
        self.oversized.add(message_id)
        noise = "".join(chr(chance.randrange(0x4E00, 0x9FFF)) for _ in range(OVERSIZED_CHARACTERS))
        await self._put(kind, a_report(message_id, callbackData=noise))

    async def put_reports(self, kind: str, message_ids: Sequence[str]) -> None:
        await self._put(kind, *(a_report(message_id) for message_id in message_ids))

    async def _put(self, kind: str, *reports: object) -> None:
        await asyncio.to_thread(self._ask_simulator, "reports", {"kind": kind, "reports": reports})

    def _ask_simulator(self, path: str, body: object, method: str = "POST") -> None:
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        request = urllib.request.Request(f"{self._simulator.url}/simulator/{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200


def a_report(message_id: str, **more: object) -> dict[str, object]:
    """A delivered message, sent and done now."""
    at = time.strftime("%Y-%m-%dT%H:%M:%S.000+0000", time.gmtime())
    return {
        "bulkId": "bulk",
        "messageId": message_id,
        "to": "385981234567",
        "sentAt": at,
        "doneAt": at,
        "smsCount": 1,
        "price": {"pricePerMessage": 0.01, "currency": "EUR"},
        "status": {"groupId": 3, "groupName": "DELIVERED", "id": 5, "name": "DELIVERED_TO_HANDSET", "description": "-"},
        "error": {"groupId": 0, "groupName": "OK", "id": 0, "name": "NO_ERROR", "description": "-", "permanent": False},
        **more,
    }
