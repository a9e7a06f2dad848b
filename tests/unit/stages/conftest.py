"""Stages that look and try again as often as a test can wait for."""

import pytest


@pytest.fixture
def often_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deliverer that nobody wakes looks by itself, and at its backlog, many times a second."""
    monkeypatch.setattr("relay.stages.deliver.deliverer.IDLE_SECONDS", 0.02)
    monkeypatch.setattr("relay.stages.deliver.bounds.CHECK_SECONDS", 0.01)


@pytest.fixture
def soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage whose step failed."""
    monkeypatch.setattr("relay.stages.stage.FIRST_BACKOFF_SECONDS", 0.01)
