"""`relay run`."""

import asyncio
import gc
import os
import sys
from pathlib import Path

import structlog

import relay
from relay.cli.loading import load_or_complain, log_summary, start_logging
from relay.cli.output import FAILED, WRONG, complain
from relay.config import ConfigFile
from relay.observe import failpoints
from relay.ports import JournalFatal

log = structlog.get_logger(__name__)

SWITCH_SECONDS = 0.0005
"""The journal's threads ask for the interpreter after each step of SQLite; waiting the usual 5 ms for it costs more
than all their work."""


def run_relay(file: Path) -> int:
    """Run until stopped; the exit code. Nothing leaves here as a traceback of its own: the log masks what it shows."""
    try:
        deadly = failpoints.armed()
    except failpoints.BadFailPoint as error:
        return complain(str(error), WRONG)
    source = ConfigFile(file, os.environ)
    config = load_or_complain(source)
    if isinstance(config, int):
        return config
    start_logging(config, source)
    log_summary(config, relay.__version__)
    if deadly:
        log.critical(
            "this relay will kill itself: a test's fail points are armed", points=deadly, by=failpoints.VARIABLE
        )
    from relay import app  # noqa: PLC0415 - a wrong configuration is told before aiokafka and the rest are loaded
    from relay.sinks.callback import TlsFilesUnusable  # noqa: PLC0415 - the same

    gc.freeze()  # what was imported stays: nobody need look through it for cycles again and again
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        return asyncio.run(app.run(config, source))
    except TlsFilesUnusable as error:
        log.error("relay ends: the configuration cannot be used", error=str(error))  # noqa: TRY400 - it says the cure
        return WRONG
    except JournalFatal as error:
        log.error("relay ends: the journal cannot be used", error=str(error))  # noqa: TRY400 - the message is the cure
    except OSError as error:
        log.error("relay ends", error=str(error))  # noqa: TRY400 - an address in use, a file: the message says it
    except Exception:  # anything else is a bug, told through the log that masks secrets
        log.exception("relay ends by an unexpected error")
    return FAILED
