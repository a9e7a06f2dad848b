"""The unpacker against a hand-written journal: what is kept in hand, what is given up, what opens a gap."""

import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from relay.domain import decode
from relay.domain.figures import Recorded
from relay.domain.report import Decoded, GapCause, Origin, Rejected, Report, Stream
from relay.observe import Telemetry
from relay.ports import ClaimedFetch, Fetch, JournalError, JournalFatal, JournalFull
from relay.stages.unpack import IDLE_SECONDS, Unpack

SMS = Stream("acme", "sms")
ONE = b'{"results":[{"messageId":"m1","status":{"id":5,"groupId":3},"error":{"id":0}}]}'
HTML = b"<html><body>502 Bad Gateway</body></html>"


def fetch(body: bytes, *, complete: bool = True, origin: Origin = Origin.POLL) -> Fetch:
    return Fetch(origin, 1000, 1100, 200, "application/json", body, complete, 1)


class Journal:
    """Offers fetches; `failures` are raised by record_reports, one a call, before it works."""

    def __init__(self, *fetches: Fetch, claims: int = 0, failures: Sequence[BaseException] = ()) -> None:
        self.waiting = list(fetches)
        self.claims = claims
        self.failures = list(failures)
        self.recorded: list[tuple[Decoded, GapCause | None]] = []
        self.quarantined: list[str] = []
        self.claimed = 0

    async def claim_fetch(self, stream: Stream, at_ms: int) -> ClaimedFetch | None:
        assert stream == SMS
        assert at_ms == 2000
        if not self.waiting:
            return None
        self.claimed += 1
        self.claims += 1
        return ClaimedFetch(7, SMS, self.claims, self.waiting[0])

    async def record_reports(self, claimed: ClaimedFetch, decoded: Decoded, gap: GapCause | None) -> Recorded:
        if self.failures:
            raise self.failures.pop(0)
        assert claimed.fetch is self.waiting.pop(0)
        self.recorded.append((decoded, gap))
        return Recorded(new=len(decoded.entries))

    async def quarantine_fetch(self, claimed: ClaimedFetch, reason: str) -> Recorded:
        self.waiting.remove(claimed.fetch)
        self.quarantined.append(reason)
        return Recorded(quarantined=1)


def unpacker(journal: Journal, woken: list[str] | None = None) -> tuple[Unpack, Telemetry]:
    telemetry = Telemetry()
    wake = (lambda: None) if woken is None else (lambda: woken.append("subscribers"))
    return Unpack(SMS, journal, telemetry, lambda: 2000, wake), telemetry


async def test_reports_are_recorded_and_subscribers_woken() -> None:
    journal, woken = Journal(fetch(ONE)), list[str]()
    unpack, telemetry = unpacker(journal, woken)

    assert await unpack.step() == 0
    ((decoded, gap),) = journal.recorded
    assert [entry.message_id for entry in decoded.entries if isinstance(entry, Report)] == ["m1"]
    assert gap is None
    assert woken == ["subscribers"]
    labels = {"source": "acme", "kind": "sms", "origin": "poll", "outcome": "new"}
    assert telemetry.registry.get_sample_value("relay_reports_total", labels) == 1

    assert await unpack.step() == IDLE_SECONDS


@pytest.mark.parametrize(
    ("given", "gap"),
    [
        (fetch(HTML), GapCause.NOT_REPORTS),
        (fetch(HTML, origin=Origin.PUSH), None),
        (fetch(ONE[:-4], complete=False), None),  # its gap was opened when it was journaled
        (fetch(b'{"results":[]}'), None),
    ],
)
async def test_only_a_whole_answer_without_reports_opens_a_gap_here(given: Fetch, gap: GapCause | None) -> None:
    journal = Journal(given)
    await unpacker(journal)[0].step()
    assert [opened for _, opened in journal.recorded] == [gap]


@pytest.mark.parametrize("error", [JournalFull("no room"), JournalError("rolled back")])
async def test_a_full_journal_is_not_the_fetchs_fault(error: JournalError) -> None:
    journal = Journal(fetch(ONE), failures=[error] * 9)
    unpack, _ = unpacker(journal)
    for _ in range(9):
        with pytest.raises(type(error)):
            await unpack.step()
    assert await unpack.step() == 0
    assert journal.claimed == 1
    assert journal.quarantined == []
    assert len(journal.recorded) == 1


async def test_a_fetch_that_fails_three_times_is_quarantined_whole() -> None:
    journal = Journal(fetch(ONE), failures=[ValueError("a bug")] * 3)
    unpack, _ = unpacker(journal)
    for _ in range(2):
        with pytest.raises(ValueError, match="a bug"):
            await unpack.step()
    assert await unpack.step() == 0
    assert journal.quarantined == ["could not be unpacked: ValueError: a bug"]


async def test_kills_beside_an_innocent_fetch_do_not_condemn_it() -> None:
    """Claimed by four processes that died meanwhile: it is decoded in a process of its own, and recorded."""
    journal = Journal(fetch(ONE), claims=4)
    assert await unpacker(journal)[0].step() == 0
    ((decoded, _),) = journal.recorded
    assert isinstance(decoded.entries[0], Report)
    assert not any(isinstance(entry, Rejected) for entry in decoded.entries)
    assert journal.quarantined == []


USUAL = b'{"results":[%b]}' % b",".join([b'{"messageId":"m"}'] * 5_000)
TWO = b'{"results":[{"messageId":"m1"},{"messageId":"m2","new":1}]}'
UNUSUAL = USUAL[:-2] + b',{"messageId":"m","new":1}]}'
XML = b"<r><results><result><messageId>m1</messageId></result></results></r>"


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (fetch(ONE), {"usual": "loop"}),
        (fetch(USUAL), {"usual": "loop"}),
        (fetch(TWO), {"usual": "loop", "unusual": "loop"}),
        (fetch(UNUSUAL), {"usual": "loop", "unusual": "thread"}),
        (fetch(USUAL[:-2], complete=False), {"usual": "loop", "unusual": "thread"}),
        (fetch(XML), {"usual": "loop", "unusual": "thread"}),
        (fetch(USUAL + b" " * 2**20), {"whole": "thread"}),
    ],
    ids=["one", "usual", "two, one unusual", "many, one unusual", "cut", "XML", "large"],
)
async def test_only_what_is_quick_is_read_in_the_event_loop(
    given: Fetch, read: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, str] = {}
    for name, step in (("decode_usual", "usual"), ("decode_unusual", "unusual"), ("decode_body", "whole")):
        monkeypatch.setattr(f"relay.stages.unpack.{name}", partial(_watched, getattr(decode, name), step, seen))
    journal = Journal(given)
    assert await unpacker(journal)[0].step() == 0
    assert seen == read
    ((decoded, _),) = journal.recorded
    assert decoded == decode.decode_body(given.body, kind="sms", base_url="", complete=given.complete)


def _watched(function: Any, step: str, seen: dict[str, str], body: bytes, **named: Any) -> Any:
    assert step not in seen, "nothing is read twice"
    seen[step] = "loop" if threading.current_thread() is threading.main_thread() else "thread"
    return function(body, **named)


async def test_a_fetch_that_kills_its_decoder_is_quarantined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.stages.unpack._decode", _die)
    journal = Journal(fetch(ONE), claims=4)
    assert await unpacker(journal)[0].step() == 0
    (reason,) = journal.quarantined
    assert "BrokenProcessPool" in reason


async def test_a_journal_that_cannot_be_trusted_ends_it() -> None:
    with pytest.raises(JournalFatal):
        await unpacker(Journal(fetch(ONE), failures=[JournalFatal("I/O error")]))[0].step()


def _die(_claimed: ClaimedFetch) -> Decoded:
    import os  # noqa: PLC0415 - runs in the child

    os._exit(9)
