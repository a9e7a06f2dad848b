"""Every error names file, line, key and cure."""

from collections.abc import Callable
from pathlib import Path

import pytest

from relay.config import ConfigError, load

Refused = Callable[..., list[str]]

HEAD = """\
sources:
  - name: acme
    base_url: https://xyz.api.infobip.com
    auth: {type: api_key, token: abc}
"""
JOURNAL = 'journal: {url: "sqlite:////tmp/relay.db"}\n'
KAFKA = "kafka: {bootstrap_servers: localhost}\n"
CALLBACK = 'callbacks:\n  - name: billing\n    url: "https://billing.internal/hook"\n'

SOURCES_EXAMPLE = (
    'begin with: sources: [{name: acme, base_url: "https://xyz.api.infobip.com", auth: {type: api_key, token: '
    '"${INFOBIP_API_KEY}"}}]'
)
JOURNAL_EXAMPLE = 'for example: journal: {url: "sqlite:////var/lib/relay/relay.db"}'

IN_SOURCE = [
    ("pol: {}", 'relay.yaml:5: sources[0].pol: unknown key; did you mean "poll"?'),
    (
        "zzz: 1",
        (
            "relay.yaml:5: sources[0].zzz: unknown key; there is auth, base_url, ca_file, endpoints, format, name, "
            "poll, proxy, push, reconcile, recordings"
        ),
    ),
    ("poll: {limit: 1001}", "relay.yaml:5: sources[0].poll.limit: must be at most 1000"),
    ("poll: {limit: 0}", "relay.yaml:5: sources[0].poll.limit: must be at least 1"),
    ("poll: {limit: many}", "relay.yaml:5: sources[0].poll.limit: must be a whole number"),
    ("poll: {limit: 1.5}", "relay.yaml:5: sources[0].poll.limit: must be a whole number"),
    ("poll: {limit: true}", "relay.yaml:5: sources[0].poll.limit: must be a number"),
    ("poll: {limit: }", "relay.yaml:5: sources[0].poll.limit: must be a whole number"),
    ("poll: {interval_seconds: 0}", "relay.yaml:5: sources[0].poll.interval_seconds: must be more than 0"),
    ("poll: {interval_seconds: .nan}", "relay.yaml:5: sources[0].poll.interval_seconds: must be a number"),
    (
        "poll: {interval_seconds: 9}",
        "relay.yaml:5: sources[0].poll.max_interval_seconds: must be at least interval_seconds (9)",
    ),
    (
        "poll:\n      limit: 10\n      timeout_second: 3",
        'relay.yaml:7: sources[0].poll.timeout_second: unknown key; did you mean "timeout_seconds"?',
    ),
    ("poll: 3", "relay.yaml:5: sources[0].poll: must be a mapping of keys"),
    ("endpoints: sms", 'relay.yaml:5: sources[0].endpoints: must be a list, also of one: ["…"]'),
    ("endpoints: []", "relay.yaml:5: sources[0].endpoints: must not be empty; leave the key out to use its default"),
    (
        "endpoints: [smss]",
        'relay.yaml:5: sources[0].endpoints[0]: kind "smss" is unknown and has no path; did you mean "sms"?',
    ),
    (
        "endpoints:\n      - sms\n      - voice\n      - kind: sms",
        'relay.yaml:8: sources[0].endpoints[2]: kind "sms" is read before; one endpoint for each kind',
    ),
    ("format: csv", "relay.yaml:5: sources[0].format: must be 'json' or 'xml'"),
    (
        "recordings: {enabled: true}\n    endpoints: [sms]",
        ("relay.yaml:5: sources[0].recordings.enabled: needs voice among the endpoints; only calls are recorded"),
    ),
    (
        "endpoints: [{kind: sms, version: 2}]",
        "relay.yaml:5: sources[0].endpoints[0].version: is unknown; sms has 1 and 3",
    ),
    (
        "endpoints: [{kind: email, version: 1}]",
        'relay.yaml:5: sources[0].endpoints[0]: kind "email" is unknown and has no path; there is sms, voice',
    ),
    (
        "endpoints: [{kind: sms, version: 3, path: /sms/3/reports}]",
        (
            "relay.yaml:5: sources[0].endpoints[0].version: does not belong beside path, which says where to read; "
            "leave one of them out"
        ),
    ),
    (
        "push: {enabled: yes-please}",
        "relay.yaml:5: sources[0].push.enabled: must be true or false",
    ),
    (
        "ca_file: /nowhere/ca.pem",
        (
            "relay.yaml:5: sources[0].ca_file: /nowhere/ca.pem cannot be read: No such file or directory; mount it or "
            "correct the path"
        ),
    ),
    (
        "proxy: ftp://proxy",
        "relay.yaml:5: sources[0].proxy: must begin with http:// or https:// and name a host",
    ),
]


@pytest.mark.parametrize(("line", "expected"), IN_SOURCE)
def test_a_sources_wrong_key(refused: Refused, line: str, expected: str) -> None:
    assert refused(HEAD + f"    {line}\n" + JOURNAL + KAFKA) == [expected]


WHOLE_SOURCES = [
    ("https://u:canary@x.api.infobip.com", "must not hold a user name or password; credentials have keys of their own"),
    ("ftp://x.api.infobip.com", "must begin with http:// or https:// and name a host"),
    ("x.api.infobip.com", "must begin with http:// or https:// and name a host"),
    ("https://x.api.infobip.com?a=b", "must not hold a query (?…)"),
    ("https://x.api.infobip.com/#a", "must not hold a fragment (#…), spaces or control characters"),
    ("https://x.api.infobip.com:99999", "is not a URL; write it as https://host/path"),
]


@pytest.mark.parametrize(("url", "expected"), WHOLE_SOURCES)
def test_a_wrong_base_url(refused: Refused, url: str, expected: str) -> None:
    text = HEAD.replace("https://xyz.api.infobip.com", f'"{url}"') + JOURNAL + KAFKA
    assert refused(text) == [f"relay.yaml:3: sources[0].base_url: {expected}"]


AUTHS = [
    ("{type: api_key}", ["auth.token: is required for type api_key"]),
    (
        "{type: basic, username: me}",
        ["auth.password: is required for type basic"],
    ),
    (
        "{type: bearer, token: abc, password: canary}",
        ["auth.password: does not belong to type bearer, which takes token"],
    ),
    ("{type: oauth, token: abc}", ["auth.type: must be 'basic', 'api_key', 'bearer' or 'ibsso'"]),
    (
        "{token: abc}",
        [
            (
                "auth.type: is required: `basic` takes username and password; `api_key` (sent as `App`), "
                "`bearer` and `ibsso` a token"
            ),
        ],
    ),
    ('{type: bearer, token: ""}', ["auth.token: is empty; give a value, ${NAME} or {file: path}"]),
    ("{type: bearer, token: 12345}", ["auth.token: must be text (quote it) or {file: path}"]),
    ('{type: bearer, token: "a\\nb"}', ["auth.token: must be one line without control characters"]),
    (
        "{type: bearer, token: {file: /nowhere/token}}",
        ["auth.token: cannot read /nowhere/token: No such file or directory; mount the file or correct the path"],
    ),
]


@pytest.mark.parametrize(("auth", "expected"), AUTHS)
def test_wrong_credentials(refused: Refused, auth: str, expected: list[str]) -> None:
    text = HEAD.replace("{type: api_key, token: abc}", auth) + JOURNAL + KAFKA
    assert refused(text) == [f"relay.yaml:4: sources[0].{line}" for line in expected]


IN_KAFKA = [
    ("topic: infobip.reports", ["topic: must contain {kind}: several kinds are read, and each has its topics"]),
    (
        'topic: "infobip.{source}"',
        ["topic: must be 1 to 249 characters of letters, digits, '.', '_' and '-'; {kind} stands for the kind"],
    ),
    ('quarantine_topic: "q.{kind}"', ["quarantine_topic: must not hold {kind}: there is one such topic for all kinds"]),
    (
        "recordings_topic: infobip.quarantine",
        ["recordings_topic: is the same topic as quarantine_topic; each needs its own"],
    ),
    ("cursor_topic: infobip.quarantine", ["cursor_topic: is the same topic as quarantine_topic; each needs its own"]),
    ("compression: brotli", ["compression: must be 'none', 'gzip', 'snappy', 'lz4' or 'zstd'"]),
    ("create_topics: {partitions: 0}", ["create_topics.partitions: must be at least 1"]),
    ("security: {protocol: SASL_SSL}", ["security.mechanism: is required for SASL_SSL"]),
    (
        "security: {mechanism: PLAIN, username: a, password: canary}",
        ["security.protocol: must be SASL_SSL or SASL_PLAINTEXT where a mechanism is given"],
    ),
    (
        "security: {protocol: SASL_SSL, mechanism: SCRAM-SHA-256, username: a}",
        ["security.password: is required for SCRAM-SHA-256"],
    ),
    (
        "security: {protocol: SASL_SSL, mechanism: OAUTHBEARER}",
        ["security.token_file: is required for OAUTHBEARER"],
    ),
    (
        "security: {protocol: PLAINTEXT, ca_file: /dev/null}",
        ["security.ca_file: is of use only with protocol SSL or SASL_SSL; change that or leave it out"],
    ),
    ("security: {protocol: SSL, cert_file: /dev/null}", ["security.key_file: is required beside cert_file"]),
]


@pytest.mark.parametrize(("line", "expected"), IN_KAFKA)
def test_wrong_kafka(refused: Refused, line: str, expected: list[str]) -> None:
    text = HEAD + JOURNAL + f"kafka:\n  bootstrap_servers: localhost\n  {line}\n"
    assert refused(text) == [f"relay.yaml:8: kafka.{problem}" for problem in expected]


IN_CALLBACK = [
    ("kinds: [mms]", 'kinds[0]: "mms" is not configured; did you mean "sms"?'),
    ("sources: [other]", 'sources[0]: "other" is not configured; there is acme'),
    ("kinds: []", "kinds: must not be empty; leave the key out to use its default"),
    (
        "status_groups: [LOST]",
        "status_groups[0]: must be a number, or one of ACCEPTED, PENDING, UNDELIVERABLE, DELIVERED, EXPIRED, REJECTED",
    ),
    (
        "secrets: [whsec_canary]",
        "secrets[0]: must be whsec_ and base64; make one: echo whsec_$(openssl rand -base64 32)",
    ),
    ("secrets: whsec_canary", 'secrets: must be a list, also of one: ["${NAME}"]'),
    ("kinds: sms", 'kinds: must be a list, also of one: ["…"]'),
    ("headers: {Content-Type: canary}", "headers.Content-Type: is a header that the relay sets itself; leave it out"),
    ("headers: {Webhook-Id: canary}", "headers.Webhook-Id: is a header that the relay sets itself; leave it out"),
    ('headers: {"X Y": canary}', "headers.X Y: is not a header name"),
    ('headers: {X-Y: "canary\\r\\nX: y"}', "headers.X-Y: must be one line without control characters"),
    ("batch_size: 0", "batch_size: must be at least 1"),
    ("linger_seconds: -1", "linger_seconds: must be at least 0"),
    ("retry: {initial_seconds: 60, max_seconds: 5}", "retry.max_seconds: must be at least initial_seconds"),
    ("rate_per_second: 0", "rate_per_second: must be more than 0"),
    ("cert_file: /dev/null\n    key_file:", "key_file: is required beside cert_file"),
]


@pytest.mark.parametrize(("line", "expected"), IN_CALLBACK)
def test_a_wrong_callback(refused: Refused, line: str, expected: str) -> None:
    assert refused(HEAD + JOURNAL + CALLBACK + f"    {line}\n") == [
        f"relay.yaml:{9 + line.count(chr(10))}: callbacks[0].{expected}"
    ]


TOP_LEVEL = [
    (HEAD + JOURNAL, ["relay.yaml:1: reports would go nowhere; add kafka: or callbacks:"]),
    (HEAD + KAFKA, [f"relay.yaml:1: journal: is required; {JOURNAL_EXAMPLE}"]),
    (JOURNAL + KAFKA, [f"relay.yaml:1: sources: is required; {SOURCES_EXAMPLE}"]),
    ("sources: []\n" + JOURNAL + KAFKA, [f"relay.yaml:1: sources: must not be empty; {SOURCES_EXAMPLE}"]),
    ("sources:\n" + JOURNAL + KAFKA, [f"relay.yaml:1: sources: must be a list; {SOURCES_EXAMPLE}"]),
    (HEAD + "journal:\n" + KAFKA, [f"relay.yaml:5: journal: must be a mapping of keys; {JOURNAL_EXAMPLE}"]),
    (
        HEAD + JOURNAL + 'kafka: {bootstrap_servers: ["localhost:9092"]}\n',
        ['relay.yaml:6: kafka.bootstrap_servers: must be one text, not a list: "host:port,host:port"'],
    ),
    (
        HEAD + "journal: {url: postgresql://relay:canary@db/relay}\n" + KAFKA,
        ["relay.yaml:5: journal.url: PostgreSQL is not yet available; use sqlite:////path/relay.db"],
    ),
    (
        HEAD + "journal: {url: /var/lib/relay.db}\n" + KAFKA,
        [
            "relay.yaml:5: journal.url: must be sqlite:////absolute/path/relay.db or sqlite:///relative/path/relay.db",
        ],
    ),
    (
        HEAD + JOURNAL + KAFKA + "dedup: {window_hours: 71}\n",
        ["relay.yaml:7: dedup.window_hours: must be at least 72 (reconcile.lookback_hours 48 + 24)"],
    ),
    (
        HEAD + JOURNAL + 'kafka: {bootstrap_servers: "broker-1:9092, broker 2"}\n',
        ["relay.yaml:6: kafka.bootstrap_servers: must be host:port, several separated by commas"],
    ),
    (
        HEAD + JOURNAL + KAFKA + "http: {port: 70000}\n",
        ["relay.yaml:7: http.port: must be at most 65535"],
    ),
    (
        HEAD + JOURNAL + KAFKA + "http: {port: 8081, push_port: 8081}\n",
        ["relay.yaml:7: http.push_port: is the same as port; leave it out to share that port"],
    ),
    (
        HEAD + JOURNAL + KAFKA + "log: {level: loud}\n",
        ["relay.yaml:7: log.level: must be 'debug', 'info', 'warning' or 'error'"],
    ),
    (
        HEAD + HEAD.removeprefix("sources:\n") + JOURNAL + KAFKA,
        ['relay.yaml:5: sources[1].name: "acme" is used before; every name must be unique'],
    ),
    (
        HEAD.replace("acme", "Acme_1") + JOURNAL + KAFKA,
        ["relay.yaml:2: sources[0].name: must be 1 to 63 characters of a-z, 0-9 and -"],
    ),
    (
        HEAD + JOURNAL + CALLBACK + CALLBACK.removeprefix("callbacks:\n"),
        ['relay.yaml:9: callbacks[1].name: "billing" is used before; every name must be unique'],
    ),
    ("", ["relay.yaml:1: is empty; begin with sources: and journal:"]),
    ("- a\n", ["relay.yaml:1: must be a mapping of keys; begin with sources: and journal:"]),
    (
        "journal:\n  url: a\n  url: canary\n",
        [
            'relay.yaml:3: is not valid YAML: found duplicate key "url"; keep one of them',
        ],
    ),
    (
        "sources:\n  - name: a\n   b: c\n",
        [
            (
                "relay.yaml:3: is not valid YAML: expected <block end>, but found '<block mapping start>'; check "
                "indentation and quotes"
            ),
        ],
    ),
]


@pytest.mark.parametrize(("text", "expected"), TOP_LEVEL)
def test_a_wrong_file(refused: Refused, text: str, expected: list[str]) -> None:
    assert refused(text) == expected


def test_several_errors_are_told_at_once_in_the_order_of_the_file(refused: Refused) -> None:
    text = HEAD.replace("abc", '"${NO_KEY}"') + "    poll: {limit: 0}\n" + 'journal: {url: "x", keep: 3}\n' + KAFKA
    assert refused(text) == [
        (
            "relay.yaml:4: sources[0].auth.token: environment variable NO_KEY is not set; set it, or keep the secret "
            "in a file: {file: path}"
        ),
        "relay.yaml:5: sources[0].poll.limit: must be at least 1",
        "relay.yaml:6: journal.url: must be sqlite:////absolute/path/relay.db or sqlite:///relative/path/relay.db",
        "relay.yaml:6: journal.keep: unknown key; there is max_unpublished, min_free_bytes, retention_hours, url",
    ]


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "none.yaml", {})
    assert str(caught.value) == (
        f"{tmp_path}/none.yaml: cannot be read: No such file or directory; give the right file with --config"
    )


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not UTF-8 text; save it as UTF-8"):
        load(file, {})


@pytest.mark.parametrize("example", [SOURCES_EXAMPLE, JOURNAL_EXAMPLE])
def test_what_errors_give_as_example_is_right(tmp_path: Path, example: str) -> None:
    rest = JOURNAL if "sources:" in example else HEAD
    file = tmp_path / "relay.yaml"
    file.write_text(f"{example.partition(': ')[2]}\n{rest}{KAFKA}")
    assert load(file, {"INFOBIP_API_KEY": "key"}).sources[0].name == "acme"
