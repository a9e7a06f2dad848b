"""Logging is one for the process: whoever configures it in a test leaves it as it was."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from relay.observe.redact import Redactor, use


@contextmanager
def logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    for name in ("aiokafka", "aiokafka.cluster", "aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    use(Redactor())
