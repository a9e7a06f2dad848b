"""`relay check`: everything that can be known without reading a report."""

import asyncio
import logging
import os
import sys
from itertools import chain
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from relay.cli.finding import Finding, State
from relay.cli.kafka_check import kafka_findings
from relay.cli.output import DONE, FAILED, WRONG, complain, print_json, visible
from relay.cli.place_check import http_findings, journal_findings, recordings_findings
from relay.cli.reach_check import callback_findings, source_findings
from relay.config import Config, ConfigError, HttpConfig, advice, key_path, load, secret_texts
from relay.observe import configure_logging
from relay.observe.redact import mask

COLORS = {State.OK: "green", State.WARNING: "yellow", State.FAILED: "red"}


def check_relay(file: Path, *, as_json: bool) -> int:
    """Print one line for each thing checked; 1 if any failed, 2 if the configuration is wrong."""
    try:
        config = load(file, os.environ)
    except ConfigError as error:
        if as_json:
            print_json({"ok": False, "findings": _problems(error)})
            return WRONG
        return complain(str(error), WRONG)
    configure_logging(level="error", style="console", secrets=lambda: secret_texts(config))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the finding says it better
    found = asyncio.run(findings_of(config, file))
    findings = [finding._replace(detail=mask(finding.detail)) for finding in found]
    ok = all(finding.state is not State.FAILED for finding in findings)
    if as_json:
        print_json({"ok": ok, "findings": [finding._asdict() for finding in findings]})
    else:
        _print(findings)
    return DONE if ok else FAILED


async def findings_of(config: Config, file: Path) -> list[Finding]:
    """Everything at once: each check has a deadline of its own."""
    reached = await asyncio.gather(
        *(source_findings(source, f"sources[{place}]") for place, source in enumerate(config.sources)),
        kafka_findings(config),
        *(callback_findings(callback, f"callbacks[{place}]") for place, callback in enumerate(config.callbacks)),
    )
    return [
        *_config_findings(config, file),
        *journal_findings(config.journal.path),
        *chain.from_iterable(map(recordings_findings, _recordings(config))),
        *_http_findings(config.http),
        *chain.from_iterable(reached),
    ]


def _http_findings(http: HttpConfig) -> list[Finding]:
    found = http_findings(http.host, http.port, "http.port")
    return found if http.push_port is None else found + http_findings(http.host, http.push_port, "http.push_port")


def _recordings(config: Config) -> list[Path]:
    """Directories that recordings go to, each once."""
    enabled = [config.recordings_directory(source) for source in config.sources if source.recordings.enabled]
    return list(dict.fromkeys(enabled))


def _config_findings(config: Config, file: Path) -> list[Finding]:
    warnings = [Finding(key_path(problem.path), State.WARNING, problem.message) for problem in advice(config)]
    return [Finding("configuration", State.OK, str(file)), *warnings]


def _problems(error: ConfigError) -> list[dict[str, object]]:
    return [
        {
            "what": key_path(problem.path) or error.file,
            "state": State.FAILED,
            "detail": problem.message,
            "line": problem.line,
        }
        for problem in error.problems
    ]


def _print(findings: list[Finding]) -> None:
    """Without a terminal a finding is a line, so that it can be looked for."""
    if not sys.stdout.isatty():
        widest = max(len(finding.what) for finding in findings)
        for finding in findings:
            line = f"{finding.state:{len(State.WARNING)}}  {finding.what:{widest}}  {finding.detail}"
            sys.stdout.write(visible(line) + "\n")
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    for finding in findings:
        color = COLORS[finding.state]
        table.add_row(f"[{color}]{finding.state}[/{color}]", escape(finding.what), escape(finding.detail))
    Console(highlight=False).print(table)
