"""Sources for tests, closed at the end."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from relay.config import SourceConfig
from relay.sources.infobip import InfobipSource

MakeSource = Callable[..., InfobipSource]


@pytest.fixture
async def make_source() -> AsyncIterator[MakeSource]:
    """Makes a source of a base URL; keyword arguments go into its configuration, those of `poll` into that."""
    made: list[InfobipSource] = []

    def make(base_url: str, *, poll: dict[str, Any] | None = None, **keys: Any) -> InfobipSource:
        given = {"auth": {"type": "api_key", "token": "key-1"}, **keys}
        config = SourceConfig.model_validate(
            {"name": "acme", "base_url": base_url, "poll": {"timeout_seconds": 5, **(poll or {})}, **given}
        )
        source = InfobipSource(config, now_ms=lambda: 1_700_000_000_000)
        made.append(source)
        return source

    yield make
    for source in made:
        await source.close()
