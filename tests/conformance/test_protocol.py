"""The protocol of poll, journal and publish holds whatever happens in whatever order; each mistake in it is found."""

import pytest

from tests.model.protocol import Budget, Rules, explore

REPORTS = (1, 2, 1, 3)
"""The second comes twice, as reports do."""


@pytest.mark.parametrize("budget", [Budget(2, 1, 0), Budget(1, 1, 1), Budget(1, 0, 2)], ids=str)
def test_nothing_is_lost_untold_or_doubled_in_any_interleaving(budget: Budget) -> None:
    explored = explore(REPORTS, Rules(), budget)
    print(f"{explored.states} states")
    assert explored.violation is None, explored.violation
    assert explored.states > 10_000


@pytest.mark.parametrize(
    ("rules", "what"),
    [
        (Rules(marks_before_asking=False), "a report is lost and nothing tells of it"),
        (Rules(clears_mark_with_body=False), "a report is lost and nothing tells of it"),
        (Rules(cursor_in_transaction=False), "Kafka does not hold every seq once, in order"),
        (Rules(trusts_own_copy=True), "Kafka does not hold every seq once, in order"),
        (Rules(sends_again=True), "Kafka does not hold every seq once, in order"),
        (Rules(unpacks_once=False), "a report is in the stream twice"),
    ],
    ids=["unmarked", "mark cleared too early", "cursor outside", "own copy trusted", "EndTxn sent again", "no dedup"],
)
def test_each_mistake_is_found(rules: Rules, what: str) -> None:
    explored = explore(REPORTS, rules, Budget(crashes=1, lost_answers=1, doubts=1))
    assert explored.violation is not None
    assert explored.violation.what == what, explored.violation


def test_a_late_end_of_a_transaction_commits_half_of_the_next_one() -> None:
    """Only where EndTxn is sent twice in one epoch, as KIP-890 tells."""
    budget = Budget(crashes=1, lost_answers=0, doubts=1)
    violation = explore(REPORTS, Rules(sends_again=True), budget).violation
    assert violation is not None
    assert violation.way.count("EndTxn arrives") >= 2
    assert "send EndTxn again" in violation.way
    assert explore(REPORTS, Rules(), budget).violation is None
