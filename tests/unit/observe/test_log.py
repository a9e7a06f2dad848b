"""One event, one line, nothing in it that must not be seen."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from aiokafka.cluster import ClusterMetadata
from aiokafka.protocol.metadata import MetadataResponse_v1

from relay.observe import configure_logging
from tests.logging_state import logging_restored

CANARIES = ("canary-secret", "41793026727")


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    with logging_restored():
        yield


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def start(stream: io.StringIO, **options: Any) -> None:
    configure_logging(stream=stream, instance="relay-0", secrets=lambda: ["canary-secret"], **options)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_line(stream: io.StringIO) -> None:
    start(stream)
    structlog.get_logger("relay.x").info("poll finished", stream="acme/sms", entries=3, seconds=0.5)
    (event,) = lines(stream)
    assert list(event)[:3] == ["timestamp", "level", "event"]
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "poll finished",
        "level": "info",
        "logger": "relay.x",
        "instance": "relay-0",
        "stream": "acme/sms",
        "entries": 3,
        "seconds": 0.5,
    }


@pytest.mark.parametrize("style", ["json", "console"])
def test_control_characters_are_escaped(stream: io.StringIO, style: str) -> None:
    start(stream, style=style)
    structlog.get_logger().warning("a\nb\x1b[31m", reason="c\r\nd\x00e\u2028f\x9bg\u202e")
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()
    assert not set("\x00\x9b\u202e") & set(stream.getvalue())


@pytest.mark.parametrize("style", ["json", "console"])
def test_neither_secret_nor_number_appears_in_a_traceback(stream: io.StringIO, style: str) -> None:
    start(stream, style=style)
    try:
        try:
            raise ValueError("password canary-secret of 41793026727")
        except ValueError as error:
            raise RuntimeError("https://x/?to=41793026727") from error
    except RuntimeError:
        structlog.get_logger().exception("failed canary-secret", to="41793026727", headers={"X": "canary-secret"})
    assert "RuntimeError" in stream.getvalue()
    assert "ValueError: password [secret] of ***27" in stream.getvalue()
    assert not [canary for canary in CANARIES if canary in stream.getvalue()]


def test_a_traceback_is_one_line_in_json(stream: io.StringIO) -> None:
    start(stream)
    try:
        raise ValueError("x")
    except ValueError:
        structlog.get_logger().exception("failed")
    (event,) = lines(stream)
    assert event["exception"].endswith("ValueError: x")
    assert "\n" in event["exception"]


def test_libraries_log_the_same_way(stream: io.StringIO) -> None:
    start(stream)
    logging.getLogger("aiokafka.conn").error("cannot connect as %s", "canary-secret")
    logging.getLogger("aiokafka.conn").info("chatter")
    (event,) = lines(stream)
    assert (event["logger"], event["level"]) == ("aiokafka.conn", "error")
    assert event["event"] == "cannot connect as [secret]"


def test_a_librarys_broken_format_reaches_nobody(stream: io.StringIO) -> None:
    start(stream)
    record = logging.LogRecord("other", logging.ERROR, "file.py", 1, "broken %d", ("text",), None)
    logging.getLogger().handlers[-1].handle(record)  # not through the root: pytest's own handler raises
    assert lines(stream)[0]["event"] == "broken %d"


def test_warnings_go_to_the_log(stream: io.StringIO) -> None:
    start(stream)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning("about 41793026727", UserWarning, "file.py", 1)
    assert "about ***27" in lines(stream)[0]["event"]


def test_the_level_holds(stream: io.StringIO) -> None:
    start(stream, level="warning")
    log = structlog.get_logger()
    log.info("no")
    log.warning("yes")
    assert [event["event"] for event in lines(stream)] == ["yes"]


def test_debugging_lets_libraries_speak(stream: io.StringIO) -> None:
    start(stream, level="debug")
    logging.getLogger("aiokafka").debug("detail")
    logging.getLogger("aiokafka.cluster").debug("more")
    assert [event["event"] for event in lines(stream)] == ["detail", "more"]


def test_what_the_sink_says_better_is_left_to_it(stream: io.StringIO) -> None:
    start(stream)
    ClusterMetadata().update_metadata(
        MetadataResponse_v1(brokers=[(1, "kafka", 9092, None)], controller_id=1, topics=[(3, "reports", False, [])])
    )
    logging.getLogger("aiokafka").error("the others speak")
    assert [event["event"] for event in lines(stream)] == ["the others speak"]


def test_configuring_twice_does_not_double_lines(stream: io.StringIO) -> None:
    start(stream)
    start(stream)
    logging.getLogger("other").warning("once")
    assert len(lines(stream)) == 1


@pytest.mark.parametrize("value", ["\ud800", 2**70, {1: "a"}, {"a", "b"}, object()])
def test_no_value_can_break_a_line(stream: io.StringIO, value: object) -> None:
    start(stream)
    structlog.get_logger().info("odd", value=value)
    assert lines(stream)[0]["event"] == "odd"


def test_a_closed_log_stops_nobody(stream: io.StringIO) -> None:
    start(stream)
    stream.close()
    structlog.get_logger().info("nobody reads")


def test_what_a_library_says_over_and_over_is_written_now_and_then(stream: io.StringIO) -> None:
    start(stream)
    log = logging.getLogger("aiokafka")
    for hundredth in range(1200):  # twelve seconds
        record = log.makeRecord("aiokafka", logging.ERROR, "", 0, "node %s is down", (hundredth % 3,), None)
        record.created = 1_790_000_000 + hundredth / 100
        log.handle(record)
    log.error("something else")
    told = [(line["event"], line.get("left_out")) for line in lines(stream)]
    assert told == [
        ("node 0 is down", None),
        ("node 2 is down", 499),
        ("node 1 is down", 499),
        ("something else", None),
    ]
