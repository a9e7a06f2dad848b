"""Each rule of the checker, against evidence written by hand: silent when all is well, and heard when it is not."""

import base64
import dataclasses
import hashlib
import json
from typing import Any

import pytest

from tests.chaos.checker import RULES, judge
from tests.chaos.evidence import Blow, Evidence, Gap, Handed, JournalFacts, Posted, Published, Sizes, sha256

A, B = ("sms", "a", "5:0"), ("sms", "b", "5:0")
MARKER = "marker-sms-0-"


def record(seq: int, event: tuple[str, str, str], **changes: Any) -> Published:
    _, message_id, outcome = event
    status, error = outcome.split(":")
    value = json.dumps({"messageId": message_id, "status": {"id": int(status)}, "error": {"id": int(error)}}).encode()
    one = Published(
        "t.sms.reports", 0, seq, "sms", message_id, "com.infobip.sms.report.v1", "poll", "j", seq, event, value
    )
    return one._replace(**changes)


def quarantined(seq: int, raw: bytes) -> Published:
    value = json.dumps({"bytes": base64.b64encode(raw).decode()}).encode()
    type_ = "com.infobip.sms.quarantine.v1"
    return Published("t.quarantine", 0, seq, "sms", f"q{seq}", type_, "poll", "j", seq, None, value)


def posted(one: Published, **changes: Any) -> Posted:
    id_ = "msg_" + hashlib.sha256(f"/acme/sms\n{one.ce_id}".encode()).hexdigest()[:32]
    assert one.event is not None
    return Posted("/acme/sms", one.ce_id, id_, sha256(one.value), True, True, one.event)._replace(**changes)


RECORDS = [record(1, A), record(2, B), quarantined(3, MARKER.encode())]
HANDED = Handed(7, "sms", 10_000, 10_050, None, 3, True, (A, B, None))
JOURNAL = JournalFacts("ok", {"sms": 3}, {"sms": frozenset()}, [], 0, 0)
SOUND = Evidence(
    handed_out=[HANDED],
    committed=RECORDS,
    uncommitted=RECORDS,
    posted=[posted(one) for one in RECORDS[:2]],
    journal=JOURNAL,
    cursors={"sms": 4},
    blows=[],
    oversized=frozenset(),
    markers={"sms": [MARKER]},
    logs="",
    scrapes=[],
    targets=["/hook"],
    canaries=[r"secret-\d+"],
    sizes=Sizes(1, 1, 1),
    past_journals=[],
    broken_promises=[],
    recovers=True,
)


def found(**changes: Any) -> set[str]:
    evidence = dataclasses.replace(SOUND, **changes)
    return {objection.split(":")[0] for objection in judge(evidence).objections}


def test_nothing_is_said_of_what_is_sound() -> None:
    assert judge(SOUND).objections == []


def with_record(one: Published) -> dict[str, Any]:
    return {"committed": [*RECORDS, one], "uncommitted": [*RECORDS, one]}


RED: dict[str, dict[str, Any]] = {
    "each_once": with_record(record(4, A)),
    "nothing_lost": {"handed_out": [HANDED, HANDED._replace(number=8, events=(("sms", "c", "5:0"),))]},
    "nothing_lost_in_orderly_ends": {"committed": [RECORDS[0]._replace(origin="logs"), *RECORDS[1:]]},
    "cut_answers_give_what_came": {
        "handed_out": [HANDED._replace(fault="close_in_body", completed=False)],
        "committed": [RECORDS[0]._replace(origin="logs"), *RECORDS[1:]],
    },
    "nothing_invented": with_record(record(4, ("sms", "z", "5:0"))),
    "only_oversized_are_refused": {"journal": JOURNAL._replace(refused={"sms": frozenset({2})})},
    "uncommitted_are_aborted": {"uncommitted": [*RECORDS, record(4, ("sms", "x", "5:0"))]},
    "seqs_are_gapless": {"journal": JOURNAL._replace(last_seqs={"sms": 4})},
    "seqs_grow_in_each_partition": {"committed": [RECORDS[0]._replace(offset=9), *RECORDS[1:]]},
    "revisions_are_in_order": {"committed": [RECORDS[0]._replace(ce_id="a#2"), *RECORDS[1:]]},
    "callbacks_have_all": {"posted": [posted(RECORDS[0])]},
    "callbacks_never_change": {"posted": [posted(RECORDS[0]), posted(RECORDS[1], signed=False)]},
    "losses_are_gaps": {"committed": [RECORDS[0]._replace(origin="logs"), *RECORDS[1:]]},
    "gaps_are_closed": {"journal": JOURNAL._replace(gaps=[Gap("sms", "reset", 2, 1, 2, 0)])},
    "garbage_is_quarantined": {"committed": RECORDS[:2], "uncommitted": RECORDS[:2]},
    "journal_is_sound": {"journal": JOURNAL._replace(integrity="page 3 is never used")},
    "secrets_are_kept": {"logs": "password=secret-17"},
    "promises_are_kept": {"broken_promises": ["a damaged journal was not refused"]},
    "nobody_else_is_asked": {"targets": ["/hook", "/elsewhere"]},
    "sizes_are_bounded": {"sizes": Sizes(1 << 40, 1, 1)},
}


def test_every_rule_is_tried() -> None:
    assert set(RED) == {rule.__name__ for rule in RULES}


@pytest.mark.parametrize("rule", RED)
def test_what_is_wrong_is_said(rule: str) -> None:
    assert rule in found(**RED[rule])


# --- what explains a loss, and what does not ---


LOST = {"committed": [RECORDS[0]._replace(origin="logs"), *RECORDS[1:]]}
GAP = JOURNAL._replace(gaps=[Gap("sms", "killed", 1, 9_000, 11_000, 1)])


def test_a_loss_by_a_kill_that_a_gap_tells_of_is_no_objection() -> None:
    assert found(**LOST, blows=[Blow("kill", 9_900, 10_100)], journal=GAP) == set()


def test_a_gap_that_a_backup_has_forgotten_was_told_all_the_same() -> None:
    assert found(**LOST, blows=[Blow("kill", 9_900, 10_100)], past_journals=[GAP]) == set()


@pytest.mark.parametrize("fault", ["delay", "drip"])
def test_an_answer_that_is_only_slow_loses_nothing(fault: str) -> None:
    slow = HANDED._replace(fault=fault, ended_at_ms=12_000)
    assert found(**LOST, handed_out=[slow], journal=GAP) == {"nothing_lost_in_orderly_ends"}
    assert found(**LOST, handed_out=[slow._replace(ended_at_ms=15_500)], journal=GAP) == set()


def test_a_slow_answer_whose_reader_was_killed_is_lost() -> None:
    slow = HANDED._replace(fault="drip", ended_at_ms=14_000)
    assert found(**LOST, handed_out=[slow], blows=[Blow("kill", 12_000, 12_100)], journal=GAP) == set()


def test_seqs_refused_before_a_backup_was_put_back_are_not_missing() -> None:
    too_large = ("sms", "c", "5:0")
    of_it = quarantined(4, b'"messageId": "c"')
    evidence: dict[str, Any] = {
        "handed_out": [HANDED, HANDED._replace(number=8, events=(too_large,))],
        "committed": [*RECORDS[:2], RECORDS[2]._replace(seq=5, offset=5), of_it],
        "uncommitted": [*RECORDS[:2], RECORDS[2]._replace(seq=5, offset=5), of_it],
        "oversized": frozenset({"c"}),
        "journal": JOURNAL._replace(last_seqs={"sms": 5}),
        "cursors": {"sms": 6},
    }
    assert found(**evidence) == {"seqs_are_gapless", "only_oversized_are_refused"}
    past = JOURNAL._replace(refused={"sms": frozenset({3})})
    assert found(**evidence, past_journals=[past]) == set()


def test_a_report_refused_before_a_backup_was_put_back_may_come_from_the_logs_in_another_form() -> None:
    from_logs = record(4, ("sms", "c", "5:0"), origin="logs")
    evidence: dict[str, Any] = {
        "handed_out": [HANDED, HANDED._replace(number=8, fault="reset_in_body", events=(("sms", "c", "5:0"),))],
        "committed": [*RECORDS, from_logs, quarantined(5, b'"messageId": "c"')],
        "uncommitted": [*RECORDS, from_logs, quarantined(5, b'"messageId": "c"')],
        "posted": [*SOUND.posted, posted(from_logs), posted(from_logs, body_sha256="of the large one")],
        "oversized": frozenset({"c"}),
        "journal": GAP._replace(last_seqs={"sms": 5}),
        "cursors": {"sms": 6},
    }
    assert "callbacks_never_change" in found(**evidence)
    past = JOURNAL._replace(refused={"sms": frozenset({9})})
    assert "callbacks_never_change" not in found(**evidence, past_journals=[past])
