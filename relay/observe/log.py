"""The log: one event, one line, on standard error; JSON for machines or lines for people."""

import json
import logging
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from relay.observe.redact import Redactor, use

CHATTY = ("aiokafka", "aiohttp", "asyncio")
"""Libraries of which only warnings matter, unless debugging; what they say is often several lines a second."""

TOLD_BETTER = ("aiokafka.cluster",)
"""What it finds wrong with a topic, the sink says with the cure, and not while the relay is about to create it."""

REPEATED_SECONDS = 5.0
"""aiokafka tells many times a second that a broker is down: so often each of its texts is written."""
MOST_TEXTS = 256

FIRST_KEYS = ("timestamp", "level", "event")
"""What people look for first stands first."""

_UNSEEN = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""What JSON need not escape and a terminal or an editor takes for a new line, a command or another direction."""


def configure_logging(
    *,
    level: str = "info",
    style: Literal["json", "console"] = "json",
    instance: str = "",
    secrets: Callable[[], Iterable[str]] = tuple,
    stream: TextIO | None = None,
) -> None:
    """Send structlog and the standard library's logging the same way; may be called again.

    `secrets` answers with all secret texts as of now: wherever one appears, it is masked. `level` as in the
    configuration. `stream` is standard error unless given.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    target = stream or sys.stderr
    redactor = Redactor(secrets)
    use(redactor)
    structlog.configure(
        processors=_processors(redactor, style, instance, colors=target.isatty()),
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *name: _Line(target, *name),
        cache_logger_on_first_use=False,
    )
    _route_standard_logging(number)


def _processors(redactor: Redactor, style: str, instance: str, *, colors: bool) -> list[Processor]:
    def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return redactor.event(event)

    def name(logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("logger", getattr(logger, "name", ""))
        if instance:
            event["instance"] = instance
        return event

    render: list[Processor] = [_one_json_line]
    if style == "console":
        plain = structlog.dev.plain_traceback
        render = [_escaped, structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
        *render,
    ]


class _Line:
    """Writes lines. Nobody's work may fail because nobody reads the log any more."""

    def __init__(self, stream: TextIO, name: str = "") -> None:
        self.name = name
        self._stream = stream

    def msg(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(text + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = exception = fatal = log = msg


def _one_json_line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    event = {**{key: event[key] for key in FIRST_KEYS if key in event}, **event}
    try:
        return _UNSEEN.sub(_as_escape, orjson.dumps(event, default=str).decode())
    except (TypeError, ValueError):  # a lone surrogate, an integer beyond 64 bits
        return json.dumps(event, default=str)


def _as_escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _escaped(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """For a terminal: no control character of a value reaches it; a traceback keeps its lines."""
    return {key: _escape(value, keep="\n" if key == "exception" else "") for key, value in event.items()}


def _escape(value: Any, *, keep: str) -> Any:
    if not isinstance(value, str):
        return value
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape", "backslashreplace").decode() for c in value
    )


class _IntoStructlog(logging.Handler):
    """What aiokafka, aiohttp and asyncio say, in the same lines; what one says over and over only now and then."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], tuple[float, int]] = {}
        """By logger and text without its values: when it was written last, and how often it was left out since."""

    def emit(self, record: logging.LogRecord) -> None:
        left_out = self._left_out(record)
        if left_out is None:
            return
        more = {"left_out": left_out} if left_out else {}
        log = structlog.get_logger(record.name)
        log.log(record.levelno, _message(record), exc_info=record.exc_info or None, **more)

    def _left_out(self, record: logging.LogRecord) -> int | None:
        """How often it was not written since it was written last; None: it is not written now."""
        key = (record.name, str(record.msg))
        written_at, left_out = self._said.get(key, (-REPEATED_SECONDS, 0))
        if 0 <= record.created - written_at < REPEATED_SECONDS:  # a clock that was set back does not silence it
            self._said[key] = (written_at, left_out + 1)
            return None
        if len(self._said) >= MOST_TEXTS:
            self._said.clear()
        self._said[key] = (record.created, 0)
        return left_out


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):  # the format does not fit: a library's mistake must not reach its caller
        return str(record.msg)


def _route_standard_logging(level: int) -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _IntoStructlog)]:
        root.removeHandler(handler)
    root.addHandler(_IntoStructlog())
    root.setLevel(level)
    least = {**dict.fromkeys(CHATTY, logging.WARNING), **dict.fromkeys(TOLD_BETTER, logging.CRITICAL)}
    for name, least_level in least.items():
        logging.getLogger(name).setLevel(level if level <= logging.DEBUG else max(level, least_level))
    logging.captureWarnings(capture=True)
