"""What the status and the error of a report say: its outcome, its status group, whether it is final."""

import hashlib
from typing import Any, NamedTuple

import orjson

from relay.domain.values import written

_NOT_FINAL_GROUPS = frozenset({0, 1})
_NOT_FINAL_NAMES = frozenset({"ACCEPTED", "PENDING"})


class Outcome(NamedTuple):
    """The fields of a `Report` that follow from status and error."""

    text: str
    status_group: int | None
    final: bool


def outcome_of(status: dict[str, Any], error: dict[str, Any], unparsed: dict[str, Any]) -> Outcome:
    """The outcome of normalised status and error; `unparsed` holds what could not be normalised of them.

    Group ids and names contradict one another at times: a report is final only if neither says PENDING or ACCEPTED.
    """
    group = status.get("groupId")
    name = str(status.get("groupName", "")).strip().upper()
    return Outcome(
        f"{_mark('status', status, unparsed)}:{_mark('error', error, unparsed)}",
        group,
        group not in _NOT_FINAL_GROUPS and name not in _NOT_FINAL_NAMES,
    )


def _mark(name: str, code: dict[str, Any], unparsed: dict[str, Any]) -> str:
    """The code's id. Without a usable one, what tells two outcomes apart all the same: a digest of what was sent in
    its place, or the group's id; ``-`` if there is nothing."""
    if "id" in code:
        return str(code["id"])
    for pointer in (f"/{name}/id", f"/{name}"):
        if pointer in unparsed:
            sent = orjson.dumps(unparsed[pointer], written)
            return "?" + hashlib.sha256(sent).hexdigest()[:8]
    return f"g{code['groupId']}" if "groupId" in code else "-"
