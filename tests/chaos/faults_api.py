"""What the API answers, what is in its answers, and what the callback makes of them."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from tests.chaos.arena import KINDS, MOST_BODY_BYTES, Arena
from tests.receivers.callback import OK, Behaviour

Do = Callable[[Arena, random.Random], Awaitable[None]]

ENTITY_BOMB = (
    '<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c SYSTEM "file:///etc/hostname">]><smsReportResponse><results><result><callbackData>&b;&c;</callbackData>'
    "</result></results></smsReportResponse>"
)
OTHER_ANSWERS = {
    "text": ("text/plain", "NO_DATA"),
    "xml": (
        "application/xml",
        "<requestError><serviceException><text>General error</text></serviceException></requestError>",
    ),
    "entities": ("application/xml", ENTITY_BOMB),
    "nesting": ("application/json", '{"results":' + "[" * 200_000),
    "other": ("application/json", '{"requestError":{"serviceException":{"messageId":"GENERAL_ERROR","text":"NaN"}}}'),
    "nothing": ("application/json", ""),
    "huge": ("application/json", '{"results":[' + " " * (MOST_BODY_BYTES + 1024)),
}
"""With status 200, instead of reports, which are lost."""


def api(**rule: object) -> Do:
    """A fault of the next answers."""

    async def strike(arena: Arena, chance: random.Random) -> None:
        times = rule.get("times", chance.randint(1, 3))
        kind = rule.get("kind", chance.choice(KINDS))
        await arena.inject({**rule, "times": times, "kind": kind, "cut": chance.random()})
        await asyncio.sleep(chance.uniform(0.2, 1.5))

    return strike


def logs(**rule: object) -> Do:
    """A fault of the logs while they are needed."""

    async def strike(arena: Arena, chance: random.Random) -> None:
        await api(**rule, kind="logs")(arena, chance)
        await api(what="reset_in_body", times=1)(arena, chance)

    return strike


async def other_answer(arena: Arena, chance: random.Random) -> None:
    content_type, body = OTHER_ANSWERS[chance.choice(sorted(OTHER_ANSWERS))]
    rule = {"what": "answer", "status": 200, "consumes": True, "times": 1}
    await api(**rule, content_type=content_type, body=body)(arena, chance)


async def retry_after(arena: Arena, chance: random.Random) -> None:
    """As seconds, as a date, and as nonsense."""
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    asked = chance.choice(("1", "0", soon, "soon", "-5", "1e3"))
    await api(what="status", status=chance.choice((429, 503)), retry_after=asked, times=1)(arena, chance)


async def redirect(arena: Arena, chance: random.Random) -> None:
    """To another host, which must never be asked."""
    location = arena.receiver.url.replace("127.0.0.1", "localhost").rsplit("/", 1)[0] + "/elsewhere"
    await api(what="status", status=chance.choice((301, 302, 307, 308)), location=location, times=1)(arena, chance)


async def garbage(arena: Arena, chance: random.Random) -> None:
    """Entries that are no reports, among others."""
    for _ in range(chance.randint(1, 3)):
        await arena.put_garbage(chance.choice(KINDS), chance.choice(("broken", "nameless")))


async def oversized_record(arena: Arena, chance: random.Random) -> None:
    await arena.put_oversized(chance.choice(KINDS), chance)


def callback(behaviour: Behaviour) -> Do:
    """The receiver behaves so for a while."""

    async def strike(arena: Arena, chance: random.Random) -> None:
        arena.behaviour = behaviour
        await asyncio.sleep(chance.uniform(1, 4))
        arena.behaviour = OK

    return strike
