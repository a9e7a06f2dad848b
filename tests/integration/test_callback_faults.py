"""What goes wrong at a callback, one thing at a time, with real receivers: it is tried again, and hurts nobody else."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.integration.callback_house import SECRET, House, names, now_ms, report
from tests.receivers.callback import Behaviour, CallbackReceiver, Received
from tests.receivers.raw import RawServer

OLD_SECRET = "whsec_b2xkIHNlY3JldCBvZiB0d2VudHktZm91cg=="
HOUR_MS = 3_600_000
LATER = {"initial_seconds": 3600, "max_seconds": 3600}
NEXT_TRY = "SELECT next_attempt_at_ms FROM deliveries"


def same_request(tries: list[Received]) -> bool:
    """Whether all are tries of one delivery: id, body and event the same, only timestamp and signature may differ."""
    varies = {"webhook-timestamp", "webhook-signature"}
    return (
        len(
            {
                (one.body, tuple(sorted((name, value) for name, value in one.headers.items() if name not in varies)))
                for one in tries
            }
        )
        == 1
    )


# --- refusals ---


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 408, 413, 422, 451])
async def test_a_redirect_or_a_client_error_is_a_failed_attempt_and_tried_again(
    house: House, receiver: CallbackReceiver, status: int
) -> None:
    async with CallbackReceiver() as elsewhere:
        receiver.script.extend([Behaviour(status=status, headers={"Location": elsewhere.url})] * 3)
        await house.add(report("m-0"))
        await house.start(receiver.url)
        await house.settled()
        assert [one.status for one in receiver.received] == [status, status, status, 200]
        assert same_request(receiver.received)
        assert elsewhere.received == []
    assert house.tries() == [(status, "")] * 3 + [(200, "")]


async def test_a_refused_report_waits_for_its_schedule_and_holds_up_no_other(
    house: House, receiver: CallbackReceiver
) -> None:
    receiver.rule = lambda headers, _: Behaviour(status=404) if headers["ce-id"] == "m-0" else None
    await house.add(*(report(name) for name in names(20)))
    began_ms = now_ms()
    await house.start(receiver.url, retry=LATER)
    await house.until("SELECT position FROM subscriptions WHERE name = 'callback/billing'", 20)
    assert sorted(receiver.message_ids) == sorted(names(20))  # each once: the schedule allows no second try yet
    (next_ms,) = house.rows(NEXT_TRY)[0]
    assert began_ms < next_ms <= now_ms() + HOUR_MS


# --- overload ---


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_an_overloaded_callback_is_left_alone_for_as_long_as_it_asks(
    house: House, receiver: CallbackReceiver, status: int
) -> None:
    receiver.script.append(Behaviour(status=status, headers={"Retry-After": "1"}))
    async with CallbackReceiver() as neighbour:
        await house.add(*(report(name) for name in names(20)))
        await house.start(neighbour.url, name="neighbour")
        await house.start(receiver.url, concurrency=1)
        await house.settled()
        assert sorted(receiver.accepted_ids) == sorted(neighbour.accepted_ids) == sorted(names(20))
        asked, after = receiver.received[:2]
        assert 0.9 < after.at - asked.at < 5
        assert neighbour.received[-1].at < after.at


async def test_after_too_many_requests_it_is_left_alone_for_a_minute(house: House, receiver: CallbackReceiver) -> None:
    receiver.default = Behaviour(status=429, headers={"Retry-After": "1"})
    async with CallbackReceiver() as neighbour:
        await house.add(*(report(name) for name in names(20)))
        began_ms = now_ms()
        await house.start(receiver.url, concurrency=1)
        await house.until("SELECT count(*) FROM deliveries", 1)
        await house.start(neighbour.url, name="neighbour")
        await neighbour.until(lambda: len(neighbour.accepted_ids) == 20)
    assert len(receiver.received) == 1
    (next_ms,) = house.rows(NEXT_TRY)[0]
    assert began_ms + 60_000 <= next_ms <= now_ms() + 60_000


@pytest.mark.parametrize("asked", ["31536000", "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_what_it_asks_for_is_capped(house: House, receiver: CallbackReceiver, asked: str) -> None:
    receiver.default = Behaviour(status=503, headers={"Retry-After": asked})
    await house.add(report("m-0"))
    began_ms = now_ms()
    await house.start(receiver.url, retry=LATER)
    await house.until("SELECT count(*) FROM deliveries", 1)
    (next_ms,) = house.rows(NEXT_TRY)[0]
    assert began_ms + HOUR_MS <= next_ms <= now_ms() + HOUR_MS


# --- answers that do not come, or do not end ---


@pytest.mark.parametrize(
    ("behaviour", "tried"),
    [
        (Behaviour(mode="hang"), (None, "timeout: no whole answer within 0.3 s")),
        (Behaviour(status=500, mode="drip"), (500, "timeout: no whole answer within 0.3 s")),
        (Behaviour(status=500, mode="endless"), (500, "")),
        (Behaviour(mode="close"), (None, "connection: closed without an answer")),
    ],
    ids=["hangs", "drips", "endless", "closes"],
)
async def test_an_answer_that_does_not_end_is_cut_off_and_the_report_tried_again(
    house: House, receiver: CallbackReceiver, behaviour: Behaviour, tried: tuple[int | None, str]
) -> None:
    receiver.script.extend([behaviour] * 2)
    await house.add(report("m-0"))
    await house.start(receiver.url, timeout_seconds=0.3)
    await house.settled()
    assert house.tries() == [tried, tried, (200, "")]
    assert same_request(receiver.received)
    await receiver.until(lambda: receiver.in_flight == 0 or behaviour.mode == "hang")
    assert receiver.bytes_answered < 16 << 20
    ((longest,),) = house.rows("SELECT max(length(answer)) FROM attempts")
    assert longest <= 1024


async def test_an_accepted_report_is_delivered_though_the_answer_does_not_end(
    house: House, receiver: CallbackReceiver
) -> None:
    receiver.script.extend([Behaviour(mode="drip"), Behaviour(mode="endless")])
    await house.add(report("m-0"), report("m-1"))
    await house.start(receiver.url, timeout_seconds=0.3, concurrency=1)
    await house.settled()
    assert receiver.message_ids == ["m-0", "m-1"]
    assert house.tries() == [(200, "timeout: no whole answer within 0.3 s"), (200, "")]


async def test_one_that_floods_harms_nobody_else(house: House, receiver: CallbackReceiver) -> None:
    """Heads of informational answers without end: a deadline alone would read them for all of its time."""
    async with RawServer(b"", endless=b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 500) as flooding:
        await house.add(*(report(name) for name in names(100)))
        await house.start(flooding.url, name="flooding", timeout_seconds=10, retry=LATER)
        await house.start(receiver.url)
        await receiver.until(lambda: len(set(receiver.accepted_ids)) == 100, seconds=5)
        await house.until(
            "SELECT min(10, count(*)) FROM attempts WHERE error LIKE 'protocol: the answer does not end%'", 10
        )


# --- names and certificates ---


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """`dns(address)`: what `hooks.test` resolves to from now on; None: it does not exist."""
    now: list[str | None] = [None]
    look_up = socket.getaddrinfo

    def resolve(host: str, port: int, **keys: Any) -> Any:
        if host != "hooks.test":
            return look_up(host, port, **keys)
        if now[0] is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up(now[0], port, type=socket.SOCK_STREAM)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return lambda address: now.__setitem__(0, address)


async def test_a_name_that_does_not_exist_is_asked_for_again(
    house: House, receiver: CallbackReceiver, dns: Callable[[str | None], None]
) -> None:
    await house.add(report("m-0"))
    await house.start(f"http://hooks.test:{receiver.port}/hook")
    await house.until("SELECT min(2, count(*)) FROM attempts", 2)
    dns("127.0.0.1")
    await house.settled()
    *failed, last = house.tries()
    assert set(failed) == {(None, "dns: unknown host name")}
    assert last == (200, "")
    assert receiver.message_ids == ["m-0"]


@asynccontextmanager
async def tls_receiver(authority: trustme.CA, port: int = 0, **keys: Any) -> AsyncIterator[CallbackReceiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", **keys).configure_cert(context)
    async with CallbackReceiver(tls=context, port=port) as receiver:
        yield receiver


@pytest.mark.parametrize("wrong", ["expired", "unknown authority"])
async def test_a_wrong_certificate_is_never_accepted_and_a_right_one_ends_it(
    house: House, tmp_path: Path, wrong: str
) -> None:
    authority, unknown = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    yesterday = datetime.now(UTC) - timedelta(days=1)
    dates = {"not_before": yesterday - timedelta(days=9), "not_after": yesterday} if wrong == "expired" else {}
    await house.add(report("m-0"))
    async with tls_receiver(authority if wrong == "expired" else unknown, **dates) as receiver:
        await house.start(receiver.url, ca_file=str(tmp_path / "ca.pem"))
        await house.until("SELECT min(3, count(*)) FROM attempts", 3)
        assert receiver.received == []
        port = receiver.port
    async with tls_receiver(authority, port) as receiver:
        await house.settled()
        assert receiver.message_ids == ["m-0"]
    *failed, last = house.tries()
    assert last == (200, "")
    assert {error.split(":")[0] for _, error in failed} <= {"tls", "connection"}  # refused while nobody listened
    assert "tls" in failed[0][1]


async def test_a_metadata_address_is_refused_recorded_and_tried_again(
    house: House, receiver: CallbackReceiver, dns: Callable[[str | None], None]
) -> None:
    dns("169.254.169.254")
    await house.add(report("m-0"))
    await house.start(f"http://hooks.test:{receiver.port}/hook")
    await house.until("SELECT min(2, count(*)) FROM attempts", 2)
    dns("127.0.0.1")
    await house.settled()
    *failed, last = house.tries()
    refused = (
        "address: 169.254.169.254 is a link-local address (metadata of clouds), which no callback may be; "
        "correct url, or its name in the DNS"
    )
    assert set(failed) == {(None, refused)}
    assert last == (200, "")


# --- clocks and secrets ---


class Wall:
    """The wall clock, which somebody sets."""

    def __init__(self) -> None:
        self.set_by_ms = 0

    def __call__(self) -> int:
        return now_ms() + self.set_by_ms


async def test_the_clock_is_set_back_by_an_hour(house: House, receiver: CallbackReceiver) -> None:
    house.clock_ms = wall = Wall()
    receiver.script.extend([Behaviour(status=500)] * 5)
    await house.add(*(report(name) for name in names(5)))
    await house.start(receiver.url, retry={"initial_seconds": 1, "max_seconds": 1, "max_age_seconds": 600})
    await house.until("SELECT count(*) FROM attempts", 5)
    wall.set_by_ms = -HOUR_MS
    receiver.script.append(Behaviour(status=500))
    await house.add(report("fresh"))  # fails first, and does not look an hour old for that
    await house.settled()
    assert sorted(receiver.accepted_ids) == ["fresh", *names(5)]
    assert house.count("SELECT sum(dead_reports) FROM subscriptions") == 0
    stamp = int(receiver.received[-1].headers["webhook-timestamp"])
    assert abs(stamp - (now_ms() - HOUR_MS) / 1000) < 10  # receivers compare it with their clocks, not with ours


async def test_the_clock_is_set_forward_by_an_hour(house: House, receiver: CallbackReceiver) -> None:
    house.clock_ms = wall = Wall()
    receiver.default = Behaviour(status=500, delay_seconds=0.02)
    await house.add(*(report(name) for name in names(60)))
    retry = {"initial_seconds": 3500, "max_seconds": 3500}
    await house.start(receiver.url, concurrency=4, retry=retry)
    await house.until("SELECT min(10, count(*)) FROM attempts", 10)
    before = receiver.count
    wall.set_by_ms = HOUR_MS
    house.deliverers[0][0].wake()
    await asyncio.sleep(1)
    # All that failed is due again at once, and fails again: still no more than single tries at growing distance.
    assert 1 <= receiver.count - before <= 12
    receiver.default = Behaviour()
    wall.set_by_ms = 2 * HOUR_MS
    await house.settled()
    assert sorted(receiver.accepted_ids) == sorted(names(60))


async def test_a_secret_rotated_in_its_file_is_used_without_a_restart(
    house: House, receiver: CallbackReceiver, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text(OLD_SECRET)
    second.write_text(OLD_SECRET)
    await house.start(receiver.url, secrets=[{"file": str(first)}, {"file": str(second)}])
    await house.add(report("m-0"))
    await receiver.until(lambda: receiver.message_ids == ["m-0"])
    assert signers(receiver.received[0]) == {OLD_SECRET}
    rotate(first, SECRET)
    await send_until(house, receiver, {SECRET, OLD_SECRET})  # whichever of the two the receiver knows by now
    rotate(second, SECRET)
    await send_until(house, receiver, {SECRET})
    await house.settled()
    assert len(receiver.accepted_ids) == len(set(receiver.accepted_ids))  # nothing was started anew


def rotate(file: Path, secret: str) -> None:
    fresh = file.with_name("fresh")
    fresh.write_text(secret)
    fresh.rename(file)


def signers(received: Received) -> set[str]:
    """With which of the secrets it verifies."""
    return {secret for secret in (SECRET, OLD_SECRET) if verifies(received, secret)}


def verifies(received: Received, secret: str) -> bool:
    try:
        Webhook(secret).verify(received.body, dict(received.headers))
    except WebhookVerificationError:
        return False
    return True


async def send_until(house: House, receiver: CallbackReceiver, secrets: set[str]) -> None:
    """A file is looked at once a second."""
    async with asyncio.timeout(10):
        while signers(receiver.received[-1]) != secrets:
            sent = receiver.count
            await house.add(report(f"more-{sent}"))
            await receiver.until(lambda sent=sent: receiver.count > sent)
            await asyncio.sleep(0.05)
