"""Which report has a recording, what its file is called, when it is fetched again."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.recordings import (
    Failure,
    GivenUp,
    StoredRecording,
    TryAgain,
    WantedRecording,
    after_failure,
    file_name,
    recording_path,
    recording_value,
    wanted_recording,
)
from relay.domain.report import Entry, EntryType, Origin

RECEIVED_AT_MS = 1_529_971_199_999
"""2018-06-25T23:59:59.999Z"""
URL = "https://xyz.api.infobip.com/tts/3/files/m-1/385981178"


def entry(type_: EntryType = EntryType.REPORT, **members: object) -> Entry:
    value = json.dumps({"messageId": "m-1", **members}, separators=(",", ":")).encode()
    return Entry(1, type_, "m-1", 1, Origin.POLL, RECEIVED_AT_MS, 3, value)


@pytest.mark.parametrize(
    ("times", "day"),
    [
        ({}, "2018-06-25"),
        ({"sentAt": "2018-06-25T13:38:14.730+00:00"}, "2018-06-25"),
        ({"sentAt": "2018-06-26T00:30:00.000+01:00"}, "2018-06-25"),
        ({"sentAt": "2018-06-24T23:30:00-01:00"}, "2018-06-25"),
        ({"sentAt": "2018-06-24T10:00:00Z", "startTime": "2018-06-26T10:00:00Z"}, "2018-06-26"),
        ({"startTime": "0001-01-01T00:00:00+23:00", "sentAt": "2018-06-24T10:00:00Z"}, "2018-06-24"),
        ({"startTime": "0999-02-03T12:00:00Z"}, "0999-02-03"),
        ({"startTime": 7, "sentAt": "noon"}, "2018-06-25"),
    ],
)
def test_the_day_of_a_recording(times: dict[str, object], day: str) -> None:
    assert wanted_recording(entry(recordedAudioFileUrl=URL, **times)) == WantedRecording("m-1", URL, day)


@pytest.mark.parametrize("type_", [EntryType.REPORT, EntryType.COMPLETION, EntryType.REVISION])
def test_every_report_may_have_one(type_: EntryType) -> None:
    assert wanted_recording(entry(type_, recordedAudioFileUrl=URL)) is not None


@pytest.mark.parametrize(
    "without",
    [
        entry(),
        entry(callbackData='"recordedAudioFileUrl":"https://x"'),
        entry(unparsed={"/recordedAudioFileUrl": ""}),
        entry(inner={"recordedAudioFileUrl": URL}),
        entry(recordedAudioFileUrl=7),
        entry(EntryType.QUARANTINE, recordedAudioFileUrl=URL),
        entry(EntryType.RECORDING, recordedAudioFileUrl=URL),
    ],
)
def test_what_has_none(without: Entry) -> None:
    assert wanted_recording(without) is None


@pytest.mark.parametrize(
    ("message_id", "name"),
    [
        ("ff4804ef-6ab6-4abd-984d-ab3b1387e852", "ff4804ef-6ab6-4abd-984d-ab3b1387e852.wav"),
        ("33644485987105283959", "33644485987105283959.wav"),
        ("a.b_c", "a.b_c.wav"),
        ("a b", "a%20b.wav"),
        ("a%20b", "a%2520b.wav"),
        ("..", "%2e..wav"),
        (".hidden", "%2ehidden.wav"),
        ("../../etc/passwd", "%2e.%2f..%2fetc%2fpasswd.wav"),
        ("/etc/passwd", "%2fetc%2fpasswd.wav"),
        ("c:\\x", "c%3a%5cx.wav"),
        ("a~b", "a%7eb.wav"),
        ("é", "%c3%a9.wav"),
        ("MESSAGE-1", "MESSAGE-1~e872206c18056746d3bc9a6a02e81540.wav"),
    ],
)
def test_names(message_id: str, name: str) -> None:
    assert file_name(message_id) == name


def test_a_long_name_is_cut_and_told_apart() -> None:
    names = {file_name("x" * 200), file_name("x" * 201), file_name("ž" * 256)}
    assert len(names) == 3
    assert {len(name) for name in names} == {125}


PLAIN = frozenset(string.ascii_letters + string.digits + "._-~%")
IDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=256)


@given(st.lists(IDS | st.text("aA.%/~2eE", min_size=1, max_size=6), min_size=2, max_size=20, unique=True))
def test_no_two_messages_share_a_file_and_none_leaves_its_directory(message_ids: list[str]) -> None:
    names = [file_name(message_id) for message_id in message_ids]
    assert len({name.casefold() for name in names}) == len(names)
    assert all(set(name) <= PLAIN and not name.startswith(".") and len(name) <= 125 for name in names)


def test_the_path_and_the_announcement() -> None:
    path = recording_path("acme", "2018-06-25", "m-1")
    assert path == "acme/2018/06/25/m-1.wav"
    assert json.loads(recording_value("acme", "m-1", StoredRecording(path, 160_044, "ab" * 32, 10.0))) == {
        "messageId": "m-1",
        "source": "acme",
        "path": "acme/2018/06/25/m-1.wav",
        "bytes": 160_044,
        "sha256": "ab" * 32,
        "seconds": 10.0,
    }


@pytest.mark.parametrize(
    ("failure", "attempts", "age_seconds", "expected"),
    [
        (Failure("status 404"), 1, 0, TryAgain("status 404", 11.25)),
        (Failure("status 404"), 2, 60, TryAgain("status 404", 22.5)),
        (Failure("status 404"), 60, 172_799, TryAgain("status 404", 2700)),
        (Failure("status 404"), 60, 172_800, GivenUp("not to be had for 48 hours: status 404")),
        (Failure("status 429", retry_after_seconds=60), 1, 0, TryAgain("status 429", 60)),
        (Failure("status 429", retry_after_seconds=1), 1, 0, TryAgain("status 429", 11.25)),
        (Failure("status 503", retry_after_seconds=1e9), 1, 0, TryAgain("status 503", 3600)),
        (Failure("another host", final=True), 1, 0, GivenUp("another host")),
    ],
)
def test_after_a_failure(failure: Failure, attempts: int, age_seconds: float, expected: TryAgain | GivenUp) -> None:
    assert after_failure(failure, attempts=attempts, age_seconds=age_seconds, random=lambda: 0.5) == expected
