"""One poll: what is written when, what it is taken for, when the next one comes."""

import asyncio
from contextlib import suppress

import pytest

from relay.domain.report import GapCause, Origin
from relay.ports import Fetch, JournalError, JournalFatal, JournalFull, LeaseLost
from relay.stages import intake as intake_module
from relay.stages.stage import Stage
from tests.unit.stages.intake_fakes import NOW_MS, STREAM, Bench, answered, reports


@pytest.fixture(autouse=True)
def _commits_are_tried_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "COMMIT_RETRY_SECONDS", 0)


async def test_the_order_of_things() -> None:
    bench = Bench()
    await bench.poll(answered(reports(3)))
    assert bench.events == ["open_stream", "mark_poll", "get", "append_fetch", "wake"]


async def test_the_body_is_journaled_as_it_came() -> None:
    bench = Bench()
    await bench.poll(answered(b'{"results": [ {"messageId":"a"} ]}'))
    assert bench.journal.fetches == [
        (
            Fetch(
                origin=Origin.POLL,
                requested_at_ms=NOW_MS,
                received_at_ms=NOW_MS + 250,
                status=200,
                content_type="application/json",
                body=b'{"results": [ {"messageId":"a"} ]}',
                complete=True,
                entries_estimate=1,
                base_url="https://api.example",
            ),
            None,
        )
    ]


HALF = b'{"results":[{"messageId":"a"},{"mess'
HTML = b"<!DOCTYPE html><html></html>"
REFUSAL = b'{"requestError":{"serviceException":{"messageId":"UNAUTHORIZED","text":"Invalid login details"}}}'

APPENDED = [
    ("whole", answered(reports(1)), None, "ok"),
    ("empty collection", answered(), None, "ok"),
    ("web page", answered(HTML), None, "not_reports"),
    ("204 with a body", answered(reports(1), status=204), None, "empty"),
    ("cut", answered(HALF, complete=False, failure=GapCause.TRUNCATED), GapCause.TRUNCATED, "truncated"),
    ("late", answered(HALF, complete=False, failure=GapCause.TIMEOUT), GapCause.TIMEOUT, "timeout"),
    ("too large", answered(HALF, complete=False, failure=GapCause.TOO_LARGE), GapCause.TOO_LARGE, "too_large"),
    ("reports under 502", answered(reports(1), status=502), GapCause.HTTP_STATUS, "server_error"),
]


@pytest.mark.parametrize(("answer", "gap", "outcome"), [row[1:] for row in APPENDED], ids=[row[0] for row in APPENDED])
async def test_bodies_that_are_kept(answer, gap, outcome) -> None:
    bench = Bench()
    await bench.poll(answer)
    assert [(fetch.body, kept_gap) for fetch, kept_gap in bench.journal.fetches] == [(answer.body, gap)]
    assert bench.journal.ended == []
    assert bench.telemetry.of("poll_finished") == [(STREAM, outcome, 0.25)]
    assert bench.events[-1] == "wake"


ENDED = [
    ("never sent", answered(b"", status=None, sent=False, complete=False), None, False, "unreachable"),
    (
        "no answer",
        answered(b"", status=None, complete=False, failure=GapCause.TIMEOUT),
        GapCause.TIMEOUT,
        False,
        "timeout",
    ),
    (
        "reset",
        answered(b"", status=None, complete=False, failure=GapCause.CONNECTION),
        GapCause.CONNECTION,
        False,
        "connection",
    ),
    ("nothing of the body", answered(b"", complete=False), GapCause.TRUNCATED, False, "truncated"),
    ("200 without a body", answered(b""), GapCause.NOT_REPORTS, False, "not_reports"),
    ("204", answered(b"", status=204), None, True, "empty"),
    ("400", answered(REFUSAL, status=400), None, False, "bad_request"),
    ("401", answered(REFUSAL, status=401), None, False, "unauthorized"),
    ("403", answered(REFUSAL, status=403), None, False, "forbidden"),
    ("429", answered(b"{}", status=429), None, False, "rate_limited"),
    ("500", answered(b"{}", status=500), GapCause.HTTP_STATUS, False, "server_error"),
    ("503", answered(b"", status=503), GapCause.HTTP_STATUS, False, "server_error"),
    ("redirect", answered(HTML, status=302), GapCause.HTTP_STATUS, False, "redirect"),
]


@pytest.mark.parametrize(
    ("answer", "gap", "success", "outcome"), [row[1:] for row in ENDED], ids=[row[0] for row in ENDED]
)
async def test_polls_that_bring_no_body(answer, gap, success, outcome) -> None:
    bench = Bench()
    await bench.poll(answer)
    assert bench.journal.ended == [(gap, success)]
    assert bench.journal.fetches == []
    assert bench.telemetry.of("poll_finished") == [(STREAM, outcome, 0.25)]
    assert bench.telemetry.of("poll_succeeded") == ([(STREAM, NOW_MS + 250)] if success else [])


@pytest.mark.parametrize(
    ("entries", "limit", "wait_seconds"),
    [(1000, 1000, 0), (50, 1000, 0), (49, 1000, 0.5), (1, 1000, 0.5), (20, 20, 0), (19, 20, 0.5)],
)
async def test_a_full_answer_is_followed_at_once(entries: int, limit: int, wait_seconds: float) -> None:
    assert await Bench(limit=limit).poll(answered(reports(entries))) == wait_seconds


async def test_the_wait_grows_while_nothing_comes_and_starts_anew() -> None:
    bench = Bench()
    waits = [await bench.poll(answered()) for _ in range(6)]
    assert waits == [0.5, 1, 2, 4, 5, 5]
    assert await bench.poll(answered(reports(1))) == 0.5
    assert await bench.poll(answered()) == 0.5


async def test_failures_back_off_and_a_success_forgets_them() -> None:
    bench = Bench()
    broken = answered(b"", status=500)
    assert [await bench.poll(broken) for _ in range(4)] == [0.5, 1, 2, 4]
    assert await bench.poll(answered(reports(60))) == 0
    assert await bench.poll(broken) == 0.5


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("asked", "waited"), [(7.0, 7), (0.0, 0.5), (31_536_000.0, 3600), (None, 0.5)])
async def test_retry_after_is_honoured_and_capped(status: int, asked: float | None, waited: float) -> None:
    assert await Bench().poll(answered(b"", status=status, retry_after_seconds=asked)) == waited


async def test_a_refused_limit_is_left_out_once_at_once_then_it_is_slow() -> None:
    bench = Bench()
    bad = answered(REFUSAL, status=400)
    assert [await bench.poll(bad) for _ in range(2)] == [0, 30]
    assert bench.source.limits == [1000, None]


async def test_a_limit_that_is_refused_stays_out_if_that_helps() -> None:
    bench = Bench()
    await bench.poll(answered(REFUSAL, status=400), answered(reports(1)), answered())
    assert bench.source.limits == [1000, None, None]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_source_that_refuses_us_is_probed_slowly_and_named(status: int) -> None:
    bench = Bench()
    waits = [await bench.poll(answered(REFUSAL, status=status)) for _ in range(7)]
    assert waits == [15, 30, 60, 120, 240, 300, 300]
    assert bench.telemetry.of("source_authorized") == [("acme", False)] * 7
    (reason,) = bench.health.degraded.values()
    assert "source acme fail" in reason
    assert f"(status {status})" in reason
    assert {401: "check the credentials", 403: "the account may not read"}[status] in reason

    await bench.poll(answered())
    assert bench.telemetry.of("source_authorized")[-1] == ("acme", True)
    assert bench.health.degraded == {}


async def test_three_failures_in_a_row_are_shown_until_a_success() -> None:
    bench = Bench()
    await bench.poll(*[answered(b"", status=500)] * 2)
    assert bench.health.degraded == {}
    await bench.poll(answered(b"", status=500))
    assert ["server_error" in reason for reason in bench.health.degraded.values()] == [True]
    await bench.poll(answered())
    assert bench.health.degraded == {}


async def test_a_wake_does_not_make_a_poll_come_early() -> None:
    bench = Bench()
    await bench.intake.step()
    bench.pass_seconds(0.2)
    assert await bench.intake.step() == pytest.approx(0.3)
    assert bench.events.count("get") == 1


@pytest.mark.parametrize("jump_ms", [3_600_000, -3_600_000])
async def test_a_jump_of_the_wall_clock_changes_no_wait(jump_ms: int) -> None:
    bench = Bench()
    await bench.intake.step()
    bench.wall_ms += jump_ms
    assert await bench.intake.step() == pytest.approx(0.5)
    bench.monotonic += 0.5
    assert await bench.intake.step() == 1
    assert bench.health.degraded == {}


@pytest.mark.parametrize("method", ["open_stream", "pressure", "mark_poll"])
async def test_no_request_while_the_journal_cannot_be_written(method: str) -> None:
    bench = Bench()
    bench.journal.errors[method] = [JournalFull("disk full"), JournalError("busy")]
    assert await bench.intake.step() == intake_module.PAUSED_CHECK_SECONDS
    assert await bench.intake.step() == intake_module.PAUSED_CHECK_SECONDS
    assert "get" not in bench.events
    assert bench.telemetry.of("polling_paused") == [(STREAM, "journal")]
    assert ["busy" in reason for reason in bench.health.degraded.values()] == [True]

    await bench.intake.step()
    assert bench.events.count("get") == 1
    assert bench.telemetry.of("polling_paused") == [(STREAM, "journal"), (STREAM, None)]
    assert bench.health.degraded == {}


@pytest.mark.parametrize("error", [JournalFull("disk full"), JournalError("busy"), ValueError("surprise")])
async def test_a_body_in_hand_is_tried_until_it_is_written(error: Exception) -> None:
    bench = Bench()
    bench.journal.errors["append_fetch"] = [error] * 50
    await bench.poll(answered(reports(2)))
    assert bench.events == ["open_stream", "mark_poll", "get", *["append_fetch"] * 51, "wake"]
    assert [fetch.body for fetch, _ in bench.journal.fetches] == [reports(2)]
    assert bench.telemetry.of("polling_paused") == [(STREAM, "journal"), (STREAM, None)]


async def test_a_gap_in_hand_is_tried_until_it_is_written() -> None:
    bench = Bench()
    bench.journal.errors["end_poll"] = [JournalFull("disk full")] * 3
    await bench.poll(answered(b"", status=500))
    assert bench.journal.ended == [(GapCause.HTTP_STATUS, False)]
    assert bench.events.count("get") == 1


async def test_a_full_disk_is_shown_while_a_body_waits() -> None:
    bench = Bench()
    bench.source.answers = [answered(reports(2))]
    bench.journal.errors["append_fetch"] = [JournalFull("disk full")] * 1_000_000
    step = asyncio.create_task(bench.intake.step())
    while not bench.health.degraded:  # noqa: ASYNC110 - Health is no event
        await asyncio.sleep(0)
    assert ["disk full" in reason for reason in bench.health.degraded.values()] == [True]
    bench.journal.errors.clear()
    await step
    assert bench.health.degraded == {}
    assert len(bench.journal.fetches) == 1


@pytest.mark.parametrize("method", ["open_stream", "mark_poll", "append_fetch"])
async def test_a_journal_that_is_lost_ends_the_stage(method: str) -> None:
    bench = Bench()
    bench.journal.errors[method] = [JournalFatal("fsync")]
    bench.source.answers = [answered(reports(1))]
    with pytest.raises(JournalFatal):
        await bench.intake.step()


async def test_without_the_lease_nothing_is_asked() -> None:
    bench = Bench()
    bench.journal.errors["mark_poll"] = [LeaseLost("another owner")]
    with pytest.raises(LeaseLost):
        await bench.intake.step()
    assert "get" not in bench.events


async def test_a_source_that_raises_is_a_gap() -> None:
    bench = Bench()
    await bench.poll(RuntimeError("surprise"))
    assert bench.journal.ended == [(GapCause.CONNECTION, False)]


@pytest.mark.parametrize("cancellations", [1, 3])
async def test_a_cancelled_poll_is_finished_and_committed_first(cancellations: int) -> None:
    bench = Bench()
    bench.source.answers = [answered(reports(2))]
    bench.source.gate = asyncio.Event()
    step = asyncio.create_task(bench.intake.step())
    await bench.source.asked.wait()
    for _ in range(cancellations):
        step.cancel()
        await asyncio.sleep(0)
    assert not step.done()
    bench.source.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await step
    assert [fetch.body for fetch, _ in bench.journal.fetches] == [reports(2)]
    assert bench.events.count("get") == 1


async def test_a_stop_waits_for_the_poll_in_flight_and_begins_no_other() -> None:
    bench = Bench()
    bench.source.answers = [answered(reports(1000))]
    bench.source.gate = asyncio.Event()
    stage = Stage("intake", bench.intake.step, bench.health)
    running = asyncio.create_task(stage.run())
    await bench.source.asked.wait()
    stage.stop()
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(running), 0.02)
    assert not running.done()
    bench.source.gate.set()
    await running
    assert len(bench.journal.fetches) == 1
    assert bench.events.count("get") == 1
