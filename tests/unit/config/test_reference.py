"""The schema and the README say what the models say."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from ruamel.yaml import YAML

from relay.config import SourceConfig
from relay.config.__main__ import main
from relay.config.later import LATER
from relay.config.outline import keys
from relay.config.reference import BEGIN, END, chart_schema, documented, json_schema, markdown

ROOT = Path(__file__).parents[3]
EVERY_KEY = """\
instance: relay-0
sources:
  - name: acme
    base_url: https://xyz.api.infobip.com
    auth: {type: basic, username: a, password: {file: /run/secrets/password}}
    format: json
    endpoints: [sms, {kind: voice, version: 1, poll: {limit: 5}}, {kind: email, path: /a, logs_path: /b}]
    poll: {limit: "${LIMIT}", interval_seconds: 0.5, max_interval_seconds: 5, timeout_seconds: 30, max_body_bytes: 10}
    push: {enabled: false, token: "${PUSH_TOKEN}"}
    reconcile: {enabled: "${RECONCILE:-false}", settle_seconds: 600, lookback_hours: 48, requests_per_minute: 60}
    recordings: {enabled: false, directory: recordings}
    proxy: null
    ca_file: null
journal: {url: "sqlite:////var/lib/relay/relay.db", retention_hours: 24, max_unpublished: 1000, min_free_bytes: 1}
dedup: {window_hours: 96, revisions: separate}
kafka:
  bootstrap_servers: localhost:9092
  id_prefix: relay
  topic: "infobip.{kind}.reports"
  revisions_topic: "infobip.{kind}.revisions"
  quarantine_topic: infobip.quarantine
  recordings_topic: "infobip.{kind}.recordings"
  cursor_topic: relay.cursors
  delivery: transactional
  compression: zstd
  transaction_timeout_seconds: 60
  create_topics: {partitions: 6, replication_factor: 3}
  security: {protocol: SASL_SSL, mechanism: SCRAM-SHA-512, username: a, password: b, ca_file: c, cert_file: d,
    key_file: e, token_file: f}
callbacks:
  - name: billing
    url: https://billing.internal/hooks/infobip
    secrets: ["whsec_"]
    kinds: [voice]
    sources: [acme]
    status_groups: [DELIVERED, 5]
    format: report
    revisions: false
    batch_size: 1
    linger_seconds: 0.1
    concurrency: 16
    rate_per_second: null
    timeout_seconds: 15
    retry: {initial_seconds: 5, max_seconds: 36000, max_age_seconds: 259200}
    max_backlog: 1000000
    dead_letter_hours: 720
    start: latest
    allow_private: true
    ca_file: null
    cert_file: null
    key_file: null
    headers: {X-Key: {file: /run/secrets/key}}
http: {host: 0.0.0.0, port: 8080, token: "${RELAY_TOKEN}", push_port: null}
log: {level: info, format: json}
"""


def test_the_schema_in_the_repository_is_current() -> None:
    written = (ROOT / "schemas" / "config.json").read_text(encoding="utf-8")
    assert written == json_schema(), "run: python -m relay.config schema schemas/config.json"


def test_the_charts_schema_in_the_repository_is_current() -> None:
    written = (ROOT / "helm" / "values.schema.json").read_text(encoding="utf-8")
    assert written == chart_schema(written), "run: python -m relay.config chart helm/values.schema.json"


def test_the_charts_schema_knows_every_key_and_judges_no_value() -> None:
    validator = jsonschema_rs.validator_for(chart_part())
    document = YAML(typ="safe", pure=True).load(EVERY_KEY)
    assert validator.is_valid(document)
    assert validator.is_valid({"kafka": None, "sources": [{"poll": {"limit": "20"}, "endpoints": ["${KIND}"]}]})
    document["sources"][0]["endpoints"][1]["poll"]["limits"] = 5
    assert not validator.is_valid(document)


def chart_part() -> Any:
    text = (ROOT / "helm" / "values.schema.json").read_text(encoding="utf-8")
    return json.loads(text)["properties"]["config"]["allOf"][0]


def test_the_schema_accepts_every_key_and_refuses_others() -> None:
    validator = jsonschema_rs.validator_for(json.loads(json_schema()))
    document = YAML(typ="safe").load(EVERY_KEY)
    assert [error.message for error in validator.iter_errors(document)] == []
    for wrong in ({"sorces": []}, {"log": {"level": "loud"}}, {"sources": []}, {"http": {"port": 70000}}):
        assert not validator.is_valid(document | wrong)


def test_every_key_has_a_description() -> None:
    assert [key.path for key in keys() if not key.field.description] == []


def test_the_file_with_every_key_has_every_key() -> None:
    words = set(EVERY_KEY.replace("{", " ").replace(",", " ").replace("-", " ").split())
    assert [key.path for key in keys() if f"{key.name}:" not in words] == []


def test_every_key_is_documented_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert documented(readme) == readme, "run: python -m relay.config reference README.md"


def test_the_reference_has_a_row_for_every_key_once() -> None:
    rows = markdown().splitlines()
    assert sum(row.startswith("| `limit` |") for row in rows) == 1
    assert "| `token` | secret |  | Token, for all types but `basic`; a secret |" in rows
    assert "| `compression` | `none` `gzip` `snappy` `lz4` `zstd` | `zstd` | How batches are compressed |" in rows
    assert "| `rate_per_second` | number |  | POSTs in a second at most; left out: no limit |" in rows
    assert any(row.startswith("| `url` |") and row.endswith("(PostgreSQL: not yet available) |") for row in rows)


def test_keys_of_later_stages_exist() -> None:
    assert {later.key for later in LATER} <= {key.path for key in keys()}


def test_only_the_part_between_the_markers_is_made_anew() -> None:
    made = documented(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert made == f"before\n{BEGIN}\n\n{markdown()}\n{END}\nafter\n"
    with pytest.raises(ValueError, match="has no lines"):
        documented("no markers")


def test_the_command_brings_files_up_to_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema, readme = tmp_path / "config.json", tmp_path / "README.md"
    readme.write_text(f"{BEGIN}{END}", encoding="utf-8")
    assert main(["schema", str(schema)]) == 0
    assert main(["reference", str(readme)]) == 0
    assert json.loads(schema.read_text())["title"] == "relay configuration"
    assert "#### `sources.poll`" in readme.read_text()
    assert main(["schema"]) == main(["reference"]) == 0
    assert capsys.readouterr().out == schema.read_text() + markdown()
    assert main(["rubbish"]) == 2
    chart = tmp_path / "values.schema.json"
    chart.write_text('{"properties": {"config": {}}}', encoding="utf-8")
    assert main(["chart", str(chart)]) == 0
    assert json.loads(chart.read_text())["properties"]["config"]["allOf"] == [chart_part()]


def test_a_source_may_be_built_without_a_file() -> None:
    auth = {"type": "api_key", "token": "abc"}
    source = SourceConfig.model_validate({"name": "acme", "base_url": "http://127.0.0.1:1", "auth": auth})
    assert source.auth.token is not None
