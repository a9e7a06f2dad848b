"""What to say of a wrong or missing key where its own words help more than those for every key of its type."""

from relay.config.error import KeyPath

_NAMES = 'must be a list, also of one: ["…"]'
_SOURCES = (
    'begin with: sources: [{name: acme, base_url: "https://xyz.api.infobip.com", auth: {type: api_key, '
    'token: "${INFOBIP_API_KEY}"}}]'
)
_JOURNAL = 'for example: journal: {url: "sqlite:////var/lib/relay/relay.db"}'

_CURES = {
    ("sources", "too_short"): f"must not be empty; {_SOURCES}",
    ("sources", "tuple_type"): f"must be a list; {_SOURCES}",
    ("sources", "missing"): f"is required; {_SOURCES}",
    ("journal", "model_type"): f"must be a mapping of keys; {_JOURNAL}",
    ("journal", "missing"): f"is required; {_JOURNAL}",
    ("kafka.bootstrap_servers", "string_type"): 'must be one text, not a list: "host:port,host:port"',
    ("callbacks.secrets", "tuple_type"): 'must be a list, also of one: ["${NAME}"]',
    ("callbacks.kinds", "tuple_type"): _NAMES,
    ("callbacks.sources", "tuple_type"): _NAMES,
    ("callbacks.status_groups", "tuple_type"): _NAMES,
    ("sources.endpoints", "tuple_type"): _NAMES,
}
"""By key path without indexes, and pydantic's type of error."""


def cure_for(path: KeyPath, error_type: str) -> str | None:
    """The whole message, if the key has one of its own."""
    key = ".".join(part for part in path if isinstance(part, str))
    return _CURES.get((key, "model_type" if error_type == "model_attributes_type" else error_type))
