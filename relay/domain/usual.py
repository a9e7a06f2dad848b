"""The usual entry in one pass: documented fields in their documented types or null, and nothing else.

Whatever is not so is left to `Normaliser`, which knows everything; of what is, both make the same report, at half the
cost: no dictionaries are built, and price, status and error, which take few values, are recognised by their bytes.
"""

from functools import lru_cache
from typing import Annotated, NamedTuple

import orjson
from msgspec import DecodeError, Meta, Raw, Struct, field
from msgspec.json import Decoder, Encoder

from relay.domain.fields import Base, absolute_url, base_of, has_generations
from relay.domain.identity import LONGEST_MESSAGE_ID
from relay.domain.normalise import codes_of
from relay.domain.report import Report
from relay.domain.timestamps import rfc3339
from relay.domain.values import Inexact, Unconvertible, number

_MOST_CODES = 4096
_LONGEST_REMEMBERED = 2048
_BETWEEN = b"\0"
"""No sound JSON holds it."""

_Whole = Annotated[int, Meta(ge=-(2**53), le=2**53)]
_NULL = Raw(b"null")


class Unusual(Exception):
    """It is for `Normaliser` to say what can be made of it."""


class _Entry(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """As received; with some fields changed, as written into the event. What is null is left out."""

    bulkId: str | None = None
    messageId: str
    to: str | None = None
    from_: str | None = field(default=None, name="from")
    text: str | None = None
    sentAt: str | None = None
    doneAt: str | None = None
    smsCount: _Whole | None = None
    startTime: str | None = None
    endTime: str | None = None
    answerTime: str | None = None
    duration: _Whole | None = None
    fileDuration: Raw = _NULL
    mccMnc: str | None = None
    callbackData: str | None = None
    dtmfCodes: str | None = None
    recordedAudioFileUrl: str | None = None
    scenarioId: str | None = None
    scenarioName: str | None = None
    applicationId: str | None = None
    entityId: str | None = None
    campaignReferenceId: str | None = None
    price: Raw = _NULL
    status: Raw = _NULL
    error: Raw = _NULL


class _RawBody(Struct, gc=False):
    results: list[Raw]


class _UsualBody(Struct, gc=False):
    results: list[_Entry]


class _Codes(NamedTuple):
    """Price, status and error as written, and what they say."""

    price: Raw
    status: Raw
    error: Raw
    outcome: str
    status_group: int | None
    final: bool


class Usual:
    """Makes reports of the usual entries, SMS and voice, fetched from one base URL."""

    __slots__ = ("_base", "_codes")

    def __init__(self, base: Base | None) -> None:
        self._base = base
        self._codes: dict[bytes, _Codes] = {}

    def reports(self, body: bytes) -> list[Report] | None:
        """Of a sound body all of whose entries are usual; None if it is not that."""
        made = self._made
        try:
            return [made(entry) for entry in _decode_usual_body(body).results]
        except _FOR_SOMEBODY_ELSE:
            return None

    def takes(self, raw: Raw | bytes) -> bool:
        """Whether it is as usual."""
        try:
            self.report(raw)
        except Unusual:
            return False
        return True

    def report(self, raw: Raw | bytes) -> Report:
        """Of one entry. Raises `Unusual`."""
        try:
            return self._made(_decode_entry(raw))
        except _FOR_SOMEBODY_ELSE:
            raise Unusual from None

    def _made(self, entry: _Entry) -> Report:
        message_id = entry.messageId
        if not message_id.isprintable() or not 0 < len(message_id) <= LONGEST_MESSAGE_ID:
            raise Unusual
        _write_moments(entry)
        if entry.recordedAudioFileUrl is not None:
            entry.recordedAudioFileUrl = absolute_url(entry.recordedAudioFileUrl, self._base)
        if entry.fileDuration is not _NULL:
            entry.fileDuration = _exact(bytes(entry.fileDuration))
        received = _BETWEEN.join((entry.price, entry.status, entry.error))
        codes = self._codes.get(received) or self._learn(received)
        entry.price, entry.status, entry.error, outcome, status_group, final = codes
        return Report(message_id, outcome, status_group, final, _encode(entry))

    def _learn(self, received: bytes) -> _Codes:
        price, status, error = map(orjson.loads, received.split(_BETWEEN, 2))
        made = codes_of({"price": price, "status": status, "error": error})
        if made.unparsed:
            raise Unusual
        groups = {name: Raw(orjson.dumps(group)) for name, group in made.written.items()}
        codes = _Codes(
            groups.get("price", _NULL),
            groups.get("status", _NULL),
            groups.get("error", _NULL),
            made.outcome,
            made.status_group,
            made.final,
        )
        if len(received) <= _LONGEST_REMEMBERED:
            if len(self._codes) >= _MOST_CODES:
                self._codes.clear()
            self._codes[received] = codes
        return codes


def _write_moments(entry: _Entry) -> None:
    """Each by its own name: a loop over names costs twice as much, and every report passes here."""
    if (text := entry.sentAt) is not None:
        entry.sentAt = rfc3339(text) or _refuse()
    if (text := entry.doneAt) is not None:
        entry.doneAt = rfc3339(text) or _refuse()
    if (text := entry.startTime) is not None:
        entry.startTime = rfc3339(text) or _refuse()
    if (text := entry.answerTime) is not None:
        entry.answerTime = rfc3339(text) or _refuse()
    if (text := entry.endTime) is not None:
        entry.endTime = rfc3339(text) or _refuse()


def raw_results(body: bytes) -> list[Raw] | None:
    """The elements of the `results` array of a sound body, each as received; None if it is not that."""
    try:
        return _decode_raw_body(body).results
    except _FOR_SOMEBODY_ELSE:
        return None


@lru_cache(maxsize=64)
def usual(kind: str, base_url: str) -> Usual | None:
    """For one stream, with its memory; None for kinds of which nothing is known to be usual."""
    return Usual(base_of(base_url)) if has_generations(kind) else None


@lru_cache(maxsize=4096)
def _exact(raw: bytes) -> Raw:
    """A number as it is written; null is none."""
    value = orjson.loads(raw)
    if value is None:
        return _NULL
    if type(value) not in {int, float}:
        raise Unusual
    return Raw(orjson.dumps(number(value)))


def _refuse() -> str:
    raise Unusual


_decode_raw_body = Decoder(_RawBody).decode
_decode_usual_body = Decoder(_UsualBody).decode
_decode_entry = Decoder(_Entry).decode
_encode = Encoder().encode
_FOR_SOMEBODY_ELSE = (
    DecodeError,
    UnicodeDecodeError,
    RecursionError,
    orjson.JSONDecodeError,
    Unconvertible,
    Inexact,
    Unusual,
)
