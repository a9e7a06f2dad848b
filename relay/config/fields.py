"""The types of single values: what a name, a URL, a duration may be. Each error says what is expected."""

import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

NAME = re.compile(r"[a-z0-9-]{1,63}")
SERVER = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")
TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


class Section(BaseModel):
    """A mapping of the configuration file: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


def wrong(message: str) -> PydanticCustomError:
    """An error that a person can act on; it must never repeat the value."""
    return PydanticCustomError("value", "{message}", {"message": message})


def _not_bool(given: Any) -> Any:
    if isinstance(given, bool):
        raise wrong("must be a number")
    return given


def _name(given: str) -> str:
    if not NAME.fullmatch(given):
        raise wrong("must be 1 to 63 characters of a-z, 0-9 and -")
    return given


def _split(given: str) -> SplitResult:
    try:
        parts = urlsplit(given)
        _ = parts.port
    except ValueError:
        raise wrong("is not a URL; write it as https://host/path") from None
    return parts


def http_url(given: str, *, userinfo: bool = False) -> str:
    """`given`, if it is an http or https URL with a host and nothing that does not belong into it."""
    parts = _split(given)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise wrong("must begin with http:// or https:// and name a host")
    if not userinfo and "@" in parts.netloc:
        raise wrong("must not hold a user name or password; credentials have keys of their own")
    if parts.fragment or any(character.isspace() or ord(character) < 0x20 for character in given):
        raise wrong("must not hold a fragment (#…), spaces or control characters")
    return given


def _base_url(given: str) -> str:
    if urlsplit(http_url(given)).query:
        raise wrong("must not hold a query (?…)")
    return given.rstrip("/")


def topic_name(given: str) -> str:
    """A topic's name that may hold `{kind}`; legal for Kafka once that is replaced."""
    if not TOPIC.fullmatch(given.replace("{kind}", "kind")) or given in {".", ".."}:
        raise wrong("must be 1 to 249 characters of letters, digits, '.', '_' and '-'; {kind} stands for the kind")
    return given


def _plain_topic(given: str) -> str:
    if "{" in topic_name(given):
        raise wrong("must not hold {kind}: there is one such topic for all kinds")
    return given


def _path(given: str) -> str:
    if not given.startswith("/") or any(character in given for character in "?# \t\r\n\\") or "//" in given:
        raise wrong("must be a path that begins with / and has no query, for example /email/1/reports")
    return given


def _servers(given: str) -> str:
    for server in given.split(","):
        if not SERVER.fullmatch(server.strip()):
            raise wrong("must be host:port, several separated by commas")
    return given


def _file(given: Path) -> Path:
    if not given.name:
        raise wrong("must be the path of a file")
    return given


def _line(given: str) -> str:
    if not given.strip() or not given.isprintable():
        raise wrong("must be text without control characters, and not empty")
    return given


Name = Annotated[str, AfterValidator(_name), Field(json_schema_extra={"pattern": "^[a-z0-9-]{1,63}$"})]
Line = Annotated[str, AfterValidator(_line), Field(max_length=249)]
Servers = Annotated[str, AfterValidator(_servers)]
HttpUrl = Annotated[str, AfterValidator(http_url)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
UrlPath = Annotated[str, AfterValidator(_path)]
FilePath = Annotated[Path, AfterValidator(_file)]
TopicTemplate = Annotated[str, AfterValidator(topic_name)]
TopicName = Annotated[str, AfterValidator(_plain_topic)]
Whole = Annotated[int, Field(ge=0), BeforeValidator(_not_bool)]
Count = Annotated[int, Field(ge=1), BeforeValidator(_not_bool)]
Limit = Annotated[int, Field(ge=1, le=1000), BeforeValidator(_not_bool)]
Port = Annotated[int, Field(ge=0, le=65535), BeforeValidator(_not_bool)]
Wait = Annotated[float, Field(ge=0), BeforeValidator(_not_bool)]
Seconds = Annotated[float, Field(gt=0), BeforeValidator(_not_bool)]
Hours = Annotated[float, Field(gt=0), BeforeValidator(_not_bool)]
