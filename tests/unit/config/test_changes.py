"""What another configuration changes in the one that runs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from relay.config import CallbackConfig, Config, callback_changes, other_changes

Loader = Callable[..., Config]

RUNNING = """\
instance: relay-0
sources:
  - name: acme
    base_url: https://xyz.api.infobip.com
    auth: {type: basic, username: me, password: canary-password}
    endpoints: [sms, {kind: voice, poll: {limit: 50}}]
    push: {enabled: true, token: canary-push}
  - name: other
    base_url: https://abc.api.infobip.com
    auth: {type: api_key, token: canary-key}
journal: {url: "sqlite:////var/lib/relay/relay.db"}
kafka:
  bootstrap_servers: localhost:9092
  security: {protocol: SASL_SSL, mechanism: PLAIN, username: me, password: canary-kafka}
callbacks:
  - {name: billing, url: "https://billing/", secrets: [whsec_Y2FuYXJ5LXdlYmhvb2s=]}
  - {name: audit, url: "https://audit/", headers: {X-Key: canary-header}}
http: {token: canary-token}
"""


def callback(name: str, **keys: object) -> CallbackConfig:
    return CallbackConfig.model_validate({"name": name, "url": f"https://{name}/", **keys})


def test_nothing_changes_by_order_or_by_saying_what_is_the_default() -> None:
    running = [callback("billing"), callback("audit")]
    turn = callback_changes(running, [callback("audit", timeout_seconds=15), callback("billing")])
    assert turn == ((), (), ())


def test_callbacks_are_told_apart_by_their_names() -> None:
    wanted = [callback("billing", url="https://elsewhere/"), callback("crm")]
    turn = callback_changes([callback("billing"), callback("audit")], wanted)
    assert (turn.added, turn.changed, turn.removed) == ((wanted[1],), (wanted[0],), ("audit",))


@pytest.mark.parametrize(
    "keys",
    [
        {"url": "https://billing/other"},
        {"secrets": ["whsec_b3RoZXI="]},
        {"headers": {"X-Key": "other"}},
        {"kinds": ["sms"]},
        {"status_groups": ["DELIVERED"]},
        {"revisions": True},
        {"rate_per_second": 5},
        {"concurrency": 1},
        {"retry": {"max_age_seconds": 60}},
        {"max_backlog": 10},
    ],
)
def test_every_key_of_a_callback_counts(keys: dict[str, object]) -> None:
    assert len(callback_changes([callback("billing")], [callback("billing", **keys)]).changed) == 1


def test_callbacks_and_order_change_nothing_elsewhere(loads: Loader) -> None:
    wanted = RUNNING.replace(
        "endpoints: [sms, {kind: voice, poll: {limit: 50}}]", "endpoints: [{kind: voice, poll: {limit: 50}}, sms]"
    )
    wanted = wanted.replace("https://billing/", "https://elsewhere/")
    assert other_changes(loads(RUNNING), loads(wanted)) == ((), ())


def test_secrets_are_renewed_where_they_are_used(loads: Loader) -> None:
    running = loads(RUNNING)
    wanted = loads(RUNNING.replace("canary-", "renewed-"))
    found = other_changes(running, wanted)
    assert found.restart == ()
    assert [secret.key for secret in found.secrets] == [
        "sources[0].auth.password",
        "sources[0].push.token",
        "sources[1].auth.token",
        "kafka.security.password",
        "http.token",
    ]
    for secret in found.secrets:
        secret.in_use.become(secret.renewed)
    assert running.sources[1].auth.token is not None
    assert running.sources[1].auth.token.reveal() == "renewed-key"
    assert other_changes(running, wanted) == ((), ())


def test_a_secret_may_move_into_a_file(loads: Loader, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-a-file\n")
    running = loads(RUNNING)
    found = other_changes(running, loads(RUNNING.replace("token: canary-key", f"token: {{file: {file}}}")))
    (secret,) = found.secrets
    secret.in_use.become(secret.renewed)
    assert secret.in_use.reveal() == "from-a-file"
    assert secret.in_use.file is not None


@pytest.mark.parametrize(
    ("before", "after", "keys"),
    [
        ("instance: relay-0", "instance: relay-1", ["instance"]),
        ("limit: 50", "limit: 60", ["sources[0].endpoints[1].poll.limit"]),
        ("    push:", "    poll: {limit: 70}\n    push:", ["sources[0].poll.limit"]),
        ("endpoints: [sms, ", "endpoints: [", ["sources[0].endpoints[0]"]),
        ("name: other", "name: another", ["sources[1]"]),
        ("localhost:9092", "kafka:9092", ["kafka.bootstrap_servers"]),
        ("http: {", "log: {level: debug}\nhttp: {", ["log.level"]),
        ("http: {", "http: {port: 81, ", ["http.port"]),
        ("http: {token: canary-token}", "", ["http.token"]),
    ],
)
def test_everything_else_waits_for_a_restart(loads: Loader, before: str, after: str, keys: list[str]) -> None:
    assert before in RUNNING
    assert other_changes(loads(RUNNING), loads(RUNNING.replace(before, after))) == ((), tuple(keys))


def test_a_section_that_goes_or_comes_is_one_change(loads: Loader) -> None:
    without = RUNNING[: RUNNING.index("kafka:")] + RUNNING[RUNNING.index("callbacks:") :]
    assert other_changes(loads(RUNNING), loads(without)).restart == ("kafka",)
    assert other_changes(loads(without), loads(RUNNING)).restart == ("kafka",)


def test_a_secret_waits_with_what_changes_beside_it(loads: Loader) -> None:
    wanted = RUNNING.replace("username: me, password: canary-password", "username: you, password: renewed")
    wanted = wanted.replace("canary-key", "renewed-key")
    found = other_changes(loads(RUNNING), loads(wanted))
    assert found.restart == ("sources[0].auth.username", "sources[0].auth.password")
    assert [secret.key for secret in found.secrets] == ["sources[1].auth.token"]
