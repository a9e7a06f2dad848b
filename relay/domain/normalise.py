"""One decoded entry into the event: types as documented, nulls left out, the rest as it came.

What a report needs follows from its keys and the types of their values, so it is worked out once for each such
layout. Price, status and error take few values: they are remembered whole, already written as JSON. Both memories are
bounded, and forgetting changes nothing but speed.

Where a value cannot be normalised it moves, as received, to ``unparsed`` under its JSON Pointer. That name is ours: a
field received under it moves there as well, to ``/unparsed``.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from relay.domain.codes import outcome_of
from relay.domain.fields import GROUPS, FieldType, base_of, converter, documented_fields, has_generations
from relay.domain.generations import MARKS, as_documented
from relay.domain.identity import LONGEST_MESSAGE_ID, usable_message_id
from relay.domain.report import Report
from relay.domain.timestamps import rfc3339_members
from relay.domain.values import Inexact, Source, Unconvertible, require_exact, written

MOST_LEVELS = 64
"""How deep a report may nest; what is deeper becomes text, so that no consumer's parser is overrun."""

_MOST_LAYOUTS = 512
_MOST_CODES = 4096
_LONGEST_REMEMBERED = 2048
_SETTLED_ELSEWHERE = frozenset({"messageId", "mccmnc"})
_NOTHING_TO_DO = frozenset(
    {
        *((None, type_) for type_ in (str, int, bool)),
        (FieldType.TEXT, str),
        (FieldType.TIMESTAMP, str),
        (FieldType.INTEGER, int),
    }
)

Fields = dict[str, Any]


Step = Callable[[Fields, str, Fields], None]
"""Normalises one field of an entry in place; what cannot be normalised goes to the last argument."""


class _Plan(NamedTuple):
    """What a layout needs: `timestamps` hold strings; `steps` change the other fields that may have to change.

    `newer`: first of all its fields take the names and places of the documents, which makes it another layout.
    """

    timestamps: tuple[str, ...]
    steps: tuple[tuple[str, Step], ...]
    newer: bool = False


class Codes(NamedTuple):
    """Price, status and error together, normalised and written, and what they say."""

    written: dict[str, orjson.Fragment]
    dropped: tuple[str, ...]
    """Which of them are left out, if they are there at all: null, or no objects."""
    unparsed: Fields
    outcome: str
    status_group: int | None
    final: bool


class Normaliser:
    """Makes the reports of one kind, fetched from one base URL."""

    __slots__ = ("_base", "_codes", "_documented", "_marks", "_plans")

    def __init__(self, kind: str, base_url: str) -> None:
        self._base = base_of(base_url)
        self._documented = documented_fields(kind)
        self._marks = MARKS if has_generations(kind) else frozenset()
        self._plans: dict[tuple[Any, ...], _Plan] = {}
        self._codes: dict[bytes, Codes] = {}

    def report(self, entry: Fields) -> Report:
        """Normalise `entry` in place and write it. Raises `Unusable`, or `Inexact`: then parse it from its source."""
        timestamps, steps, _ = self._plan_for(entry)
        message_id = entry.get("messageId")
        if type(message_id) is not str or not message_id.isprintable() or not 0 < len(message_id) <= LONGEST_MESSAGE_ID:
            message_id = entry["messageId"] = usable_message_id(message_id)
        moved: Fields = {}
        rfc3339_members(entry, timestamps, moved)
        for key, step in steps:
            step(entry, key, moved)
        fragments, dropped, unparsed, outcome, status_group, final = self._codes_of(entry)
        entry.update(fragments)
        if dropped:
            for key in dropped:
                entry.pop(key, None)
        if moved or unparsed:
            entry["unparsed"] = moved | unparsed
        # orjson's own bytes hold on to the 4 KiB that they were written in; reports may wait in hand by the thousand.
        value = bytes(memoryview(orjson.dumps(entry, written)))
        return Report(message_id, outcome, status_group, final, value)

    def _codes_of(self, entry: Fields) -> Codes:
        received = (entry.get("price"), entry.get("status"), entry.get("error"))
        try:
            remembered = orjson.dumps(received)
        except orjson.JSONEncodeError:  # holds what plain JSON cannot, or nests too deep
            return codes_of(entry)
        codes = self._codes.get(remembered)
        if codes is None:
            codes = codes_of(entry)
            if len(remembered) <= _LONGEST_REMEMBERED:
                _make_room(self._codes, _MOST_CODES)
                self._codes[remembered] = codes
        return codes

    def _plan_for(self, entry: Fields) -> _Plan:
        layout = (*entry, *map(type, entry.values()))
        plan = self._plans.get(layout) or self._planned(entry, layout)
        if plan.newer:
            as_documented(entry)
            layout = (*entry, *map(type, entry.values()))
            plan = self._plans.get(layout) or self._planned(entry, layout)
        return plan

    def _planned(self, entry: Fields, layout: tuple[Any, ...]) -> _Plan:
        timestamps = [key for key, value in entry.items() if self._is_timestamp(key, value)]
        steps = [(key, step) for key, value in entry.items() if (step := self._step(key, value))]
        if "mccmnc" in entry:  # last, when it is settled whether there is a `mccMnc`
            steps.append(("mccmnc", _take_mccmnc))
        plan = _Plan(tuple(timestamps), tuple(steps), not self._marks.isdisjoint(entry))
        if len(layout) <= 128 and sum(map(len, entry)) <= _LONGEST_REMEMBERED:
            _make_room(self._plans, _MOST_LAYOUTS)
            self._plans[layout] = plan
        return plan

    def _is_timestamp(self, key: str, value: Any) -> bool:
        return type(value) is str and self._documented.get(key) is FieldType.TIMESTAMP

    def _step(self, key: str, value: Any) -> Step | None:
        """What a field needs, from its key and the type of its value alone."""
        if key == "unparsed":
            return _move_whole
        field = self._documented.get(key)
        if key in _SETTLED_ELSEWHERE or field is FieldType.GROUP or (field, type(value)) in _NOTHING_TO_DO:
            return None
        if value is None:
            return _drop
        if isinstance(value, Source):
            return _move_whole
        return _clean if field is None else _conversion(converter(field, self._base))


@lru_cache(maxsize=64)
def normaliser(kind: str, base_url: str) -> Normaliser:
    """The normaliser of a stream, with its memories."""
    return Normaliser(kind, base_url)


def _conversion(convert: Callable[[Any], Any]) -> Step:
    def step(entry: Fields, key: str, moved: Fields) -> None:
        try:
            entry[key] = convert(entry[key])
        except Unconvertible:
            _move(entry, key, "", moved)

    return step


def _drop(entry: Fields, key: str, _moved: Fields) -> None:
    del entry[key]


def _clean(entry: Fields, key: str, moved: Fields) -> None:
    entry[key] = _cleaned(entry[key], _pointer("", key), 2, moved)


def _move_whole(entry: Fields, key: str, moved: Fields) -> None:
    _move(entry, key, "", moved)


def _take_mccmnc(entry: Fields, _key: str, moved: Fields) -> None:
    """The old spelling stands in for a missing `mccMnc`; where both differ, it goes to `unparsed`."""
    if entry["mccmnc"] is None or entry["mccmnc"] == entry.get("mccMnc"):
        del entry["mccmnc"]
    elif "mccMnc" in entry:
        _move(entry, "mccmnc", "", moved)
    else:
        _normalise_member(entry, "mccmnc", FieldType.TEXT, "", 2, moved)
        if "mccmnc" in entry:
            entry["mccMnc"] = entry.pop("mccmnc")


def _normalise_member(
    holder: Fields, key: str, field: FieldType | None, path: str, level: int, unparsed: Fields
) -> None:
    """Normalise ``holder[key]`` in place; `level` is how deep its value lies."""
    value = holder[key]
    if value is None:
        del holder[key]
    elif isinstance(value, Source):
        _move(holder, key, path, unparsed)
    elif field is None:
        holder[key] = _cleaned(value, _pointer(path, key), level, unparsed)
    else:
        try:
            holder[key] = converter(field, None)(value)
        except Unconvertible:
            _move(holder, key, path, unparsed)


def _cleaned(value: Any, pointer: str, level: int, unparsed: Fields) -> Any:
    """A value that nobody documented, as it came, but without null members. Nulls in arrays keep their places."""
    if isinstance(value, float):
        require_exact(value)
    elif isinstance(value, (dict, list)):
        if level > MOST_LEVELS:
            raise Inexact
        if isinstance(value, dict):
            for key in list(value):
                _normalise_member(value, key, None, pointer, level + 1, unparsed)
        else:
            for index, item in enumerate(value):
                value[index] = _cleaned_item(item, f"{pointer}/{index}", level + 1, unparsed)
    return value


def _cleaned_item(item: Any, pointer: str, level: int, unparsed: Fields) -> Any:
    if isinstance(item, Source):
        unparsed[pointer] = item
        return None
    return _cleaned(item, pointer, level, unparsed)


def codes_of(entry: Fields) -> Codes:
    """Price, status and error of an entry. Raises `Inexact`."""
    unparsed: Fields = {}
    groups = {name: _group(name, entry.get(name), unparsed) for name in GROUPS}
    return Codes(
        {name: orjson.Fragment(orjson.dumps(group, written)) for name, group in groups.items() if group is not None},
        tuple(name for name, group in groups.items() if group is None),
        unparsed,
        *outcome_of(groups.get("status") or {}, groups.get("error") or {}, unparsed),
    )


def _group(name: str, received: Any, unparsed: Fields) -> Fields | None:
    """A nested object with its documented fields normalised; None if there is none."""
    if received is None:
        return None
    if not isinstance(received, dict):
        _move({name: received}, name, "", unparsed)
        return None
    group, types = dict(received), GROUPS[name]
    for key in received:
        _normalise_member(group, key, types.get(key), f"/{name}", 3, unparsed)
    return group


def _move(holder: Fields, key: str, path: str, unparsed: Fields) -> None:
    """To `unparsed`, as received: so it must be exact."""
    value = holder.pop(key)
    _require_exact_within(value, 2)
    unparsed[_pointer(path, key)] = value


def _require_exact_within(value: Any, level: int) -> None:
    if isinstance(value, float):
        require_exact(value)
    elif isinstance(value, (dict, list)):
        if level > MOST_LEVELS:
            raise Inexact
        for item in value.values() if isinstance(value, dict) else value:
            _require_exact_within(item, level + 1)


def _pointer(path: str, key: str) -> str:
    """A JSON Pointer (RFC 6901)."""
    return f"{path}/{key.replace('~', '~0').replace('/', '~1')}"


def _make_room(memory: dict[Any, Any], most: int) -> None:
    if len(memory) >= most:
        memory.clear()
