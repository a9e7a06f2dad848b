"""The README tells the truth: what it lists exists, what exists is listed, what it shows works."""

import re
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
import tenacity
import typer
from ruamel.yaml import YAML
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from relay.cli.commands import app
from relay.config import advice, load
from relay.config.reference import documented
from relay.domain.delivery import AttemptOutcome
from relay.domain.polling import PollOutcome
from relay.observe import Telemetry
from relay.simulator.options import Credentials, SimulatorOptions

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    return (root / "README.md").read_text()


def section(readme: str, title: str) -> str:
    return readme.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def block(text: str, language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


def verify_snippet(readme: str) -> Any:
    names: dict[str, Any] = {}
    code = next(code for code in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "standardwebhooks" in code)
    exec(compile(code, "README.md", "exec"), names)
    return names["reports_of"]


def signed(body: str) -> dict[str, str]:
    now = datetime.now(UTC)
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("msg_1", now, body),
    }


def test_the_first_configuration_has_eight_lines_and_loads(readme: str, tmp_path: Path) -> None:
    text = block(section(readme, "A first configuration"), "yaml")
    assert len(text.splitlines()) == 8
    (tmp_path / "relay.yaml").write_text(text)
    config = load(tmp_path / "relay.yaml", {"INFOBIP_API_KEY": "key", "BILLING_SECRET": SECRET})
    assert [callback.name for callback in config.callbacks] == ["billing"]


def test_a_try_without_an_account_needs_nothing_but_what_is_shown(readme: str, tmp_path: Path) -> None:
    text = block(section(readme, "A first configuration").split("### Without an account")[1], "yaml")
    (tmp_path / "try.yaml").write_text(text)
    config = load(tmp_path / "try.yaml", {"BILLING_SECRET": SECRET})
    auth = config.sources[0].auth
    assert config.sources[0].base_url == f"http://{SimulatorOptions().host}:{simulator_port()}"
    assert auth.token is not None
    assert (auth.type, auth.token.reveal()) == ("api_key", Credentials().api_key)
    assert list(advice(config)) == []
    assert config.kafka is None


def simulator_port() -> int:
    return int(
        next(
            option.default
            for option in typer.main.get_command(app).commands["simulate"].params  # type: ignore[attr-defined]
            if option.name == "port"
        )
    )


def test_the_receiver_shows_and_accepts_what_it_gets(readme: str, free_port: int) -> None:
    first = section(readme, "A first configuration")
    assert 'url: "http://127.0.0.1:9000/"' in first
    code = block(first, "python").replace("9000", str(free_port))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as receiver:
        try:
            status = posted(f"http://127.0.0.1:{free_port}/", b'{"messageId":"1"}')
            assert receiver.stdout is not None
            assert (status, receiver.stdout.readline()) == (204, b'{"messageId":"1"}\n')
        finally:
            receiver.kill()


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@tenacity.retry(
    retry=tenacity.retry_if_exception_type(URLError),
    wait=tenacity.wait_fixed(0.05),
    stop=tenacity.stop_after_delay(20),
    reraise=True,
)
def posted(url: str, body: bytes) -> int:
    """The status of the answer, once somebody listens."""
    with urlopen(Request(url, body), timeout=10) as answer:
        status: int = answer.status
        return status


def test_the_configuration_reference_is_up_to_date(readme: str) -> None:
    assert documented(readme) == readme, "run: python -m relay.config reference README.md"


def test_every_metric_is_documented_and_no_other(readme: str) -> None:
    described = {
        name + ("_total" if family.type == "counter" else "")
        for family in Telemetry().registry.collect()
        for name in [family.name]
        if name.startswith("relay_")
    }
    listed = set(re.findall(r"^\| `(relay_[a-z_]+)`", section(readme, "Metrics"), re.MULTILINE))
    journal = {"relay_fetches_pending", "relay_journal_size_bytes", "relay_journal_free_bytes"}
    assert described - listed == set()
    assert journal <= listed


@pytest.mark.parametrize("outcome", [*PollOutcome, *AttemptOutcome])
def test_every_outcome_is_documented(readme: str, outcome: str) -> None:
    assert f"`{outcome}`" in section(readme, "Metrics")


def test_every_alert_says_what_to_do_and_no_other(readme: str, root: Path) -> None:
    rules = YAML(typ="safe").load(root / "helm/rules/alerts.yaml")
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    listed = re.findall(r"^\| (Relay\w+) \|", section(readme, "When an alert wakes you"), re.MULTILINE)
    assert sorted(listed) == sorted(alerts)


@pytest.mark.parametrize(
    ("body", "reports"),
    [
        ('{"messageId":"1"}', [{"messageId": "1"}]),
        ('[{"messageId":"1"},{"messageId":"2"}]', [{"messageId": "1"}, {"messageId": "2"}]),
        ('{"results":[{"messageId":"1"}]}', [{"messageId": "1"}]),
    ],
    ids=["one", "batch", "infobip"],
)
def test_the_snippet_verifies_and_unpacks(readme: str, body: str, reports: list[dict[str, str]]) -> None:
    assert verify_snippet(readme)(SECRET, signed(body), body.encode()) == reports


def test_the_snippet_refuses_a_changed_body(readme: str) -> None:
    headers = signed('{"messageId":"1"}')
    with pytest.raises(WebhookVerificationError):
        verify_snippet(readme)(SECRET, headers, b'{"messageId":"2"}')


def test_every_command_is_documented_and_no_other(readme: str) -> None:
    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    listed = set(re.findall(r"^\| `relay ([\w-]+)", section(readme, "Commands"), re.MULTILINE))
    assert listed == commands


def test_links_lead_somewhere(readme: str, root: Path) -> None:
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)", readme, re.M)
    }
    for target in re.findall(r"\]\(([^)]+)\)", readme):
        if target.startswith("#"):
            assert target[1:] in anchors
        elif not target.startswith("https://"):
            assert (root / target).exists()


def test_make_help_names_every_target_of_the_readme(readme: str, root: Path) -> None:
    makefile = (root / "Makefile").read_text()
    for target in set(re.findall(r"\bmake ([a-z]+)\b", readme)):
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), target
