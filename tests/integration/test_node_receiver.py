"""Signed callbacks at a receiver in Node that verifies with the npm package `standardwebhooks`."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from relay.config import CallbackConfig
from relay.domain.report import Entry, EntryType, Origin, Stream
from relay.ports import PostResult
from relay.sinks.callback import HttpCallback

SOURCES = Path(__file__).parents[1] / "receivers" / "node"
INSTALLED = Path(__file__).parents[2] / ".cache" / "node-receiver"
LOCK = "package-lock.json"
INSTALL = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")

NEW = "whsec_bmV3IHNlY3JldCBvZiB0d2VudHktZm91cg=="
OLD = "whsec_b2xkIHNlY3JldCBvZiB0d2VudHktZm91cg=="
REPORT = '{"messageId":"m-1","text":"grüß \\"dich\\" 😀 \\u2028","n":0.10}'


@pytest.fixture(scope="module")
def program() -> Path:
    """The receiver with what it needs, installed as its lock file pins it."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not on this machine")
    if not _is_installed():
        _install()
    return Path(shutil.copy(SOURCES / "receiver.mjs", INSTALLED))


def _is_installed() -> bool:
    lock = INSTALLED / LOCK
    return lock.is_file() and lock.read_bytes() == (SOURCES / LOCK).read_bytes()


def _install() -> None:
    fresh = INSTALLED.with_name(f"{INSTALLED.name}-{os.getpid()}")
    fresh.mkdir(parents=True)
    for name in ("package.json", LOCK):
        shutil.copy(SOURCES / name, fresh)
    done = subprocess.run(INSTALL, cwd=fresh, text=True, capture_output=True, check=False, timeout=100)
    if done.returncode != 0:
        shutil.rmtree(fresh)
        missing = f"npm cannot install the receiver's packages: {done.stderr.strip().splitlines()[-1:]}"
        if os.environ.get("RELAY_REQUIRE_SERVERS") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    shutil.rmtree(INSTALLED, ignore_errors=True)
    fresh.rename(INSTALLED)


@asynccontextmanager
async def receiver(program: Path, secret: str) -> AsyncIterator[tuple[str, asyncio.StreamReader]]:
    """Its URL, and what it tells of each POST."""
    process = await asyncio.create_subprocess_exec(
        "node", str(program), env={**os.environ, "SECRET": secret}, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            port = int(await process.stdout.readline())
        yield f"http://127.0.0.1:{port}/hook", process.stdout
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def post(url: str, secrets: list[str], *values: str, **keys: Any) -> PostResult:
    callback = HttpCallback(CallbackConfig.model_validate({"name": "node", "url": url, "secrets": secrets, **keys}))
    entries = [
        Entry(seq, EntryType.REPORT, f"m-{seq}", 1, Origin.POLL, 1_700_000_000_123, 3, value.encode())
        for seq, value in enumerate(values, 1)
    ]
    try:
        return await callback.post(Stream("acme", "sms"), entries, int(time.time() * 1000))
    finally:
        await callback.close()


@pytest.mark.parametrize(
    ("keys", "values", "payload"),
    [
        ({}, (REPORT,), {"messageId": "m-1", "text": 'grüß "dich" 😀 \u2028', "n": 0.1}),
        (
            {"batch_size": 5},
            ('{"messageId":"m-1"}', '{"messageId":"m-2"}'),
            [{"messageId": "m-1"}, {"messageId": "m-2"}],
        ),
        ({"format": "infobip"}, ('{"messageId":"m-1"}',), {"results": [{"messageId": "m-1"}]}),
    ],
    ids=["report", "batch", "infobip"],
)
async def test_node_verifies_and_reads_what_was_sent(
    program: Path, keys: dict[str, Any], values: tuple[str, ...], payload: Any
) -> None:
    async with receiver(program, NEW) as (url, told):
        result = await post(url, [NEW], *values, **keys)
        assert (result.status, result.error) == (204, "")
        assert json.loads(await told.readline()) == {"payload": payload}


@pytest.mark.parametrize("known", [NEW, OLD])
async def test_while_rotating_node_accepts_with_either_secret(program: Path, known: str) -> None:
    async with receiver(program, known) as (url, _):
        assert (await post(url, [NEW, OLD], REPORT)).status == 204


async def test_node_refuses_another_secret(program: Path) -> None:
    async with receiver(program, OLD) as (url, told):
        assert (await post(url, [NEW], REPORT)).status == 401
        assert json.loads(await told.readline()) == {"refused": "No matching signature found"}


def test_node_reads_the_timestamps_of_both_formats(program: Path) -> None:
    """The offset without a colon, as Infobip writes it, is no standard's: V8 reads it all the same."""
    script = "for (const at of process.argv.slice(1)) console.log(Date.parse(at))"
    done = subprocess.run(
        ["node", "-e", script, "2015-02-12T09:58:20.323+01:00", "2015-02-12T09:58:20.323+0100"],
        text=True,
        capture_output=True,
        check=True,
        timeout=20,
    )
    assert done.stdout.split() == ["1423731500323", "1423731500323"]
