"""A running relay, asked over its HTTP API."""

import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from relay.cli.output import FAILED, WRONG, complain, visible
from relay.config import Config, ConfigError, ConfigFile, Secret, SecretUnreadable
from relay.web.token import token_file as token_file_of

DEFAULT_URL = "http://127.0.0.1:8080"
TIMEOUT_SECONDS = 10.0
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - what is listened on, not where to go
NO_TOKEN = "no token: set RELAY_TOKEN, or give --token-file, or --config to find it"  # noqa: S105 - a message
TOKEN_FILE_CURE = "name relay.token beside the relay's journal, or set RELAY_TOKEN"  # noqa: S105 - a message
MOST_DETAIL_BYTES = 65_536

_WRONG_PARAMETER = re.compile(r"^(since|until|limit|after|status|kind|source|callback)(?= must\b)")
"""The API names its parameters; the options that they come from are called the same."""


class Refused(Exception):
    """The relay could not be asked, or said no. The text says why; empty, if that was already told."""

    def __init__(self, message: str, *, code: int = FAILED, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        """Exit code."""
        self.status = status
        """What HTTP answered, if it did."""


class RunningRelay(NamedTuple):
    """Where it is, and its token."""

    url: str
    token: str

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> Any:
        """The JSON that it answers. What is None in `query` is left out. Raises Refused."""
        content = self.read(method, path, query, body, timeout_seconds)
        try:
            return json.loads(content)
        except ValueError:
            raise Refused(f"{self.url} answers what is no JSON; is the relay running there?") from None

    def read(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> bytes:
        """The bytes that it answers. Raises Refused."""
        request = self._request(method, path, query, body)
        try:
            with urllib.request.urlopen(request, timeout=timeout_seconds) as response:  # noqa: S310 - checked there
                content: bytes = response.read()
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(_told(request.full_url, error), status=error.code) from None
        except (OSError, ValueError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise Refused(f"cannot ask {request.full_url}: {reason}; is the relay running there?") from None
        return content

    def _request(self, method: str, path: str, query: Mapping[str, Any] | None, body: Any) -> urllib.request.Request:
        if not self.url.startswith(("http://", "https://")):
            raise Refused(f"{self.url} is not an http:// or https:// URL")
        given = urlencode({key: value for key, value in (query or {}).items() if value is not None})
        url = self.url.rstrip("/") + path + (f"?{given}" if given else "")
        headers = {"Authorization": f"Bearer {self.token}"}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        return urllib.request.Request(url, data=data, headers=headers, method=method)  # noqa: S310 - checked above


def running_relay(*, url: str | None, config: Path | None, token_file: Path | None, token: str | None) -> RunningRelay:
    """The relay that the options of a command mean. Raises Refused, wrong use, if they do not say enough."""
    if url and (token or token_file):
        config = None  # there is nothing to learn from it
    given = token or "" if token_file is None else _token_in(token_file)
    loaded = None if config is None else _loaded(config, optional=bool(url or token_file) and bool(given))
    try:
        relay = RunningRelay(url or _url_of(loaded), given or _token_by(loaded))
    except (OSError, SecretUnreadable) as error:
        raise Refused(f"cannot read the token: {error}", code=WRONG) from None
    if not relay.token:
        raise Refused(NO_TOKEN, code=WRONG)
    return relay


def _loaded(file: Path, *, optional: bool) -> Config | None:
    """`optional`: the one of the environment may be wrong where options say enough, of what there is a default for."""
    try:
        return ConfigFile(file, os.environ).load()
    except ConfigError as error:
        if optional and os.environ.get("RELAY_CONFIG") == str(file):
            return None
        raise Refused("", code=complain(str(error), WRONG)) from None


def refused(command: str, error: Refused) -> int:
    """Say that `relay {command}` could not be done; the exit code."""
    told = _WRONG_PARAMETER.sub(r"--\1", str(error)) if error.code == WRONG else str(error)
    return complain(visible(f"relay {command}: {told}"), error.code) if told else error.code


def _url_of(config: Config | None) -> str:
    if config is None:
        return DEFAULT_URL
    return f"http://{ANY_ADDRESS.get(config.http.host, config.http.host)}:{config.http.port}"


def _token_in(file: Path) -> str:
    """Raises Refused, wrong use."""
    try:
        token = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Refused(f"--token-file {file}: {error.strerror}; {TOKEN_FILE_CURE}", code=WRONG) from None
    except UnicodeDecodeError:
        token = ""
    if not token or not token.isascii() or not token.isprintable():
        raise Refused(f"--token-file {file} holds no token; {TOKEN_FILE_CURE}", code=WRONG)
    return token


def _token_by(config: Config | None) -> str:
    if config is None:
        return ""
    return (config.http.token or Secret(file=token_file_of(config))).reveal()


def _told(url: str, error: urllib.error.HTTPError) -> str:
    """What the relay says was wrong, else what HTTP calls it."""
    if error.code == 401:
        return f"{url} answered 401 {error.reason}; the token is not the one of this relay"
    try:
        detail = json.loads(error.read(MOST_DETAIL_BYTES)).get("detail")
    except (OSError, ValueError, AttributeError, HTTPException):
        detail = None
    return str(detail) if detail else f"{url} answered {error.code} {error.reason}"
