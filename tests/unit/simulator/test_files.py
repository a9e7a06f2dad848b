"""The simulator's recordings."""

import io
import wave

import aiohttp

from relay.simulator.faults import FILES, Fault, What
from relay.simulator.files import recording
from tests.unit.simulator.conftest import Start, read

PATH = "/tts/3/files/m-1/385981178"


async def test_a_recording_is_what_the_documents_say(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    body = await read(session, simulator.base_url + PATH)
    with wave.open(io.BytesIO(body)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 8000)
        assert 800 <= sound.getnframes() <= 11_000
    assert body == await read(session, simulator.base_url + PATH) == recording("m-1")
    assert body != recording("m-2")
    assert simulator.files.requests == 2


async def test_a_recording_needs_a_login(start: Start) -> None:
    simulator = await start()
    async with aiohttp.ClientSession() as nobody, nobody.get(simulator.base_url + PATH) as response:
        assert response.status == 401


async def test_recordings_have_faults_of_their_own(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start(faults=(Fault(What.STATUS, kind=FILES, status=404, times=1),))
    await read(session, simulator.base_url + "/tts/3/reports")
    async with session.get(simulator.base_url + PATH) as response:
        assert response.status == 404
    assert (await read(session, simulator.base_url + PATH))[:4] == b"RIFF"
