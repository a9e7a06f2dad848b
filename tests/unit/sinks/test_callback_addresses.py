"""Where callbacks are not posted to: checked for each connection, whatever the name said before."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.receivers.callback import CallbackReceiver
from tests.unit.sinks.callback_rig import STREAM, Connect, entry, now_ms

AWAY = "which no callback may be; correct url, or its name in the DNS"
PRIVATE = "is a private address and allow_private is false; correct url, its name in the DNS, or that key"

Answers = Callable[..., None]


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """`dns(address, …)`: what the name `hooks.test` resolves to from now on."""
    addresses: list[str] = []
    look_up = socket.getaddrinfo

    def resolve(host: str, port: int, **keys: Any) -> Any:
        if host != "hooks.test":
            return look_up(host, port, **keys)
        return [found for address in addresses for found in look_up(address, port, type=socket.SOCK_STREAM)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    def answer(*now: str) -> None:
        addresses[:] = now

    return answer


@pytest.mark.parametrize(
    ("literal", "error"),
    [
        ("169.254.169.254", f"169.254.169.254 is a link-local address (metadata of clouds), {AWAY}"),
        ("[fe80::1]", f"fe80::1 is a link-local address (metadata of clouds), {AWAY}"),
        ("[fd00:ec2::254]", f"fd00:ec2::254 is the metadata service of AWS, {AWAY}"),
        ("[::ffff:169.254.169.254]", f"::ffff:a9fe:a9fe is a link-local address (metadata of clouds), {AWAY}"),
        ("[64:ff9b::a9fe:a9fe]", f"64:ff9b::a9fe:a9fe is a link-local address (metadata of clouds), {AWAY}"),
        ("[2002:a9fe:a9fe::1]", f"2002:a9fe:a9fe::1 is a link-local address (metadata of clouds), {AWAY}"),
    ],
)
async def test_a_literal_is_refused(connect: Connect, literal: str, error: str) -> None:
    result = await connect(f"http://{literal}/latest/meta-data").post(STREAM, [entry()], now_ms())
    assert (result.status, result.error) == (None, f"address: {error}")


async def test_a_name_is_refused_by_what_it_resolves_to(connect: Connect, dns: Answers) -> None:
    dns("169.254.169.254")
    result = await connect("http://hooks.test/").post(STREAM, [entry()], now_ms())
    assert result.error == f"address: 169.254.169.254 is a link-local address (metadata of clouds), {AWAY}"


@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost", "hooks.test"])
async def test_private_addresses_are_posted_to_unless_told_otherwise(
    receiver: CallbackReceiver, connect: Connect, dns: Answers, host: str
) -> None:
    dns("127.0.0.1")
    url = f"http://{host}:{receiver.port}/"
    allowed = await connect(url).post(STREAM, [entry()], now_ms())
    refused = await connect(url, allow_private=False).post(STREAM, [entry()], now_ms())
    assert (allowed.status, refused.status) == (200, None)
    assert refused.error.startswith("address: ")
    assert refused.error.endswith(PRIVATE)
    assert len(receiver.received) == 1


async def test_a_name_that_is_rebound_is_refused_at_the_next_connection(
    receiver: CallbackReceiver, connect: Connect, dns: Answers
) -> None:
    dns("127.0.0.1")
    callback = connect(f"http://hooks.test:{receiver.port}/")
    assert (await callback.post(STREAM, [entry()], now_ms())).status == 200
    dns("169.254.169.254")
    await callback.close()  # its connections and what it remembers of the name
    assert (await callback.post(STREAM, [entry()], now_ms())).error.startswith("address: 169.254.169.254 ")
    dns("127.0.0.1")
    await callback.close()
    assert (await callback.post(STREAM, [entry()], now_ms())).status == 200


async def test_a_name_whose_address_failed_is_looked_up_anew(
    receiver: CallbackReceiver, connect: Connect, dns: Answers
) -> None:
    callback = connect(f"http://hooks.test:{receiver.port}/")
    for address in ("169.254.169.254", "127.255.255.253"):  # refused, and where nobody listens
        dns(address)
        assert (await callback.post(STREAM, [entry()], now_ms())).status is None
    dns("127.0.0.1")
    assert (await callback.post(STREAM, [entry()], now_ms())).status == 200


async def test_many_posts_at_a_time_to_a_name_that_fails(connect: Connect, dns: Answers) -> None:
    dns("10.0.0.1", "10.0.0.2")
    callback = connect("http://hooks.test/", allow_private=False, concurrency=8)

    async def post_on_and_on(worker: int) -> set[str]:
        return {(await callback.post(STREAM, [entry(f"m-{worker}-{n}")], now_ms())).error for n in range(20)}

    errors = set().union(*await asyncio.gather(*(post_on_and_on(worker) for worker in range(24))))
    assert errors <= {f"address: 10.0.0.{n} {PRIVATE}" for n in (1, 2)}


async def test_of_several_addresses_those_allowed_are_tried(
    receiver: CallbackReceiver, connect: Connect, dns: Answers
) -> None:
    dns("169.254.169.254", "fe80::1", "127.0.0.1")
    assert (await connect(f"http://hooks.test:{receiver.port}/").post(STREAM, [entry()], now_ms())).status == 200


async def test_of_several_refused_addresses_one_is_named(connect: Connect, dns: Answers) -> None:
    dns("10.0.0.1", "10.0.0.2", "fd12::1")
    result = await connect("http://hooks.test/", allow_private=False).post(STREAM, [entry()], now_ms())
    assert result.error.startswith("address: ")
    assert result.error.endswith(PRIVATE)


@pytest.mark.parametrize(
    "host", ["2852039166", "0251.0376.0251.0376", "169.254.43518", "0xa9fea9fe", "0xa9.0xfe.43518"]
)
async def test_other_spellings_of_an_address_are_no_way_around(connect: Connect, host: str) -> None:
    result = await connect(f"http://{host}/", timeout_seconds=2).post(STREAM, [entry()], now_ms())
    assert result.status is None
    assert result.error.startswith(("address: ", "dns: "))


async def test_the_log_names_the_address_once(connect: Connect, dns: Answers) -> None:
    callback = connect("http://hooks.test/", allow_private=False)
    with capture_logs() as lines:
        for address in ("10.0.0.1", "10.0.0.1", "169.254.169.254", "10.0.0.1"):
            dns(address)
            await callback.close()
            await callback.post(STREAM, [entry()], now_ms())
    told = [(line["event"], line["callback"], line["reason"], line["log_level"]) for line in lines]
    assert told == [
        ("callback not posted to", "billing", f"address: 10.0.0.1 {PRIVATE}", "error"),
        (
            "callback not posted to",
            "billing",
            f"address: 169.254.169.254 is a link-local address (metadata of clouds), {AWAY}",
            "error",
        ),
    ]
