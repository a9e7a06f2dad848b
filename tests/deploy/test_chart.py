"""The chart: what it renders is valid Kubernetes, safe by default, and a configuration that relay takes."""

import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from relay.config import load
from tests.deploy.conftest import KUBERNETES, Render, Run

FULL = ("--values", "helm/ci/full-values.yaml")
OUTSIDE_KUBERNETES = {"ServiceMonitor", "PrometheusRule"}
"""Kinds that other operators define; their schemas are not Kubernetes'."""


def by_kind(manifests: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    found = [manifest for manifest in manifests if manifest["kind"] == kind]
    assert found, f"no {kind} among {[manifest['kind'] for manifest in manifests]}"
    return found[0]


def pod(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = by_kind(manifests, "StatefulSet")["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("values", [(), FULL], ids=["defaults", "full"])
def test_lint_finds_nothing(helm: Run, values: tuple[str, ...]) -> None:
    done = helm("lint", "--strict", "helm", *values)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("values", [(), FULL], ids=["defaults", "full"])
def test_manifests_are_valid_kubernetes(render: Render, values: tuple[str, ...]) -> None:
    checked = 0
    for manifest in render(*values):
        if manifest["kind"] not in OUTSIDE_KUBERNETES:
            kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
            checked += 1
    assert checked >= 5


def test_the_validation_can_fail(render: Render) -> None:
    broken = by_kind(render(), "StatefulSet")
    broken["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, KUBERNETES, strict=True)


def test_defaults_install_what_every_cluster_knows(render: Render) -> None:
    kinds = sorted(manifest["kind"] for manifest in render())
    assert kinds == ["ConfigMap", "Service", "Service", "ServiceAccount", "StatefulSet"]


def test_full_values_install_everything(render: Render) -> None:
    kinds = {manifest["kind"] for manifest in render(*FULL)}
    assert kinds >= {"ServiceMonitor", "PrometheusRule", "NetworkPolicy", "PodDisruptionBudget", "Ingress"}


@pytest.mark.parametrize("values", [(), FULL], ids=["defaults", "full"])
def test_relay_takes_the_configuration(render: Render, values: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    text = by_kind(render(*values), "ConfigMap")["data"]["relay.yaml"]
    for mounted in ("/etc/relay/kafka-tls", "/etc/relay/infobip"):
        text = text.replace(mounted, str(tmp_path))
    for name in ("ca.crt", "tls.crt", "tls.key", "password"):
        (tmp_path / name).write_text("x")
    file.write_text(text)
    environ = {
        "INFOBIP_API_KEY": "key",
        "BILLING_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "PUSH_TOKEN": "token",
    }
    assert load(file, environ).journal.url == "sqlite:////var/lib/relay/relay.db"


def test_large_numbers_stay_whole(render: Render) -> None:
    config = YAML(typ="safe").load(by_kind(render(*FULL), "ConfigMap")["data"]["relay.yaml"])
    assert repr(config["journal"]["min_free_bytes"]) == "268435456"


def test_kafka_can_be_left_out(render: Render) -> None:
    config = YAML(typ="safe").load(by_kind(render("--set", "config.kafka=null"), "ConfigMap")["data"]["relay.yaml"])
    assert sorted(config) == ["http", "journal", "sources"]


def test_nothing_is_writable_but_the_journal_and_tmp(render: Render) -> None:
    container = pod(render(*FULL))["containers"][0]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/var/lib/relay", "/var/lib/relay/recordings", "/tmp"]


def test_recordings_have_a_volume_of_their_own_if_one_is_named(render: Render) -> None:
    volumes = {volume["name"]: volume for volume in pod(render(*FULL))["volumes"]}
    assert volumes["recordings"]["persistentVolumeClaim"] == {"claimName": "calls"}
    assert "recordings" not in {volume["name"] for volume in pod(render())["volumes"]}


def test_the_pod_is_nobody(render: Render) -> None:
    spec = pod(render())
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


def test_the_journal_outlives_the_release(render: Render) -> None:
    stateful_set = by_kind(render(), "StatefulSet")["spec"]
    assert stateful_set["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert [claim["metadata"]["name"] for claim in stateful_set["volumeClaimTemplates"]] == ["journal"]


def test_a_changed_configuration_restarts_the_pod_unless_only_callbacks_changed(render: Render) -> None:
    def checksum(*values: str) -> str:
        template = by_kind(render(*values), "StatefulSet")["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/config"])

    assert checksum() == checksum()
    assert checksum() != checksum("--set", "config.log.level=debug")
    one = ("--set", "config.callbacks[0].name=billing", "--set", "config.callbacks[0].url=https://billing/")
    assert checksum(*one) == checksum()
    assert checksum(*one, "--set", "config.kafka=null") != checksum(*one)


def test_relay_sees_when_kubernetes_changes_its_file(render: Render) -> None:
    spec = pod(render())
    (container,) = spec["containers"]
    (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == "config"]
    assert container["args"] == ["run", "-c", f"{mount['mountPath']}/relay.yaml"]
    assert "subPath" not in mount  # such a mount keeps the file as it was when the pod began


def test_probes_ask_what_they_should(render: Render) -> None:
    container = pod(render(*FULL))["containers"][0]
    paths = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    assert container["ports"] == [{"name": "http", "containerPort": 9090}, {"name": "push", "containerPort": 9091}]


def test_rules_and_dashboard_arrive_as_they_are(render: Render, root: Path) -> None:
    manifests = render(*FULL)
    rules = YAML(typ="safe").load(root / "helm/rules/alerts.yaml")
    assert by_kind(manifests, "PrometheusRule")["spec"] == rules
    dashboards = [m for m in manifests if m["metadata"]["name"].endswith("-dashboard")]
    shown = json.loads(dashboards[0]["data"]["infobip-relay.json"])
    assert shown == json.loads((root / "helm/dashboards/relay.json").read_text())


def test_the_monitor_scrapes_each_pod_once(render: Render) -> None:
    manifests = render(*FULL)
    wanted = by_kind(manifests, "ServiceMonitor")["spec"]["selector"]["matchLabels"].items()
    services = [m for m in manifests if m["kind"] == "Service"]
    chosen = [service for service in services if wanted <= service["metadata"]["labels"].items()]
    assert len(services) == 3
    assert len(chosen) == 1


def test_the_way_in_for_pushes_leads_to_their_port_alone(render: Render) -> None:
    manifests = render(*FULL)
    (service,) = [m for m in manifests if m["kind"] == "Service" and m["metadata"]["name"].endswith("-push")]
    assert service["spec"]["ports"] == [{"name": "push", "port": 80, "targetPort": "push"}]
    ingress = by_kind(manifests, "Ingress")["spec"]
    (rule,) = ingress["rules"]
    backend = {"service": {"name": service["metadata"]["name"], "port": {"name": "push"}}}
    assert rule["http"]["paths"] == [{"path": "/push", "pathType": "Prefix", "backend": backend}]
    assert ingress["tls"] == [{"hosts": ["push.example.com"], "secretName": "push-tls"}]
    open_to_http, open_to_push = by_kind(manifests, "NetworkPolicy")["spec"]["ingress"]
    assert [port["port"] for port in open_to_push["ports"]] == ["push"]
    assert open_to_push["from"] != open_to_http["from"]


def test_pushes_on_the_main_port(render: Render) -> None:
    manifests = render(*FULL, "--set", "config.http.push_port=null")
    assert [port["name"] for port in pod(manifests)["containers"][0]["ports"]] == ["http"]
    assert [m["metadata"]["name"] for m in manifests if m["kind"] == "Service"] == [
        "test-infobip-relay",
        "test-infobip-relay-headless",
    ]
    (rule,) = by_kind(manifests, "Ingress")["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert path["path"] == "/push"
    assert path["backend"] == {"service": {"name": "test-infobip-relay", "port": {"name": "http"}}}
    assert len(by_kind(manifests, "NetworkPolicy")["spec"]["ingress"]) == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("replicas=2", "a SQLite journal belongs to one process"),
        ("config.journal.url=sqlite:////data/relay.db", "outside /var/lib/relay"),
        ("terminationGracePeriodSeconds=30", "at least 45"),
        ("config.sources[0].poll.timeout_seconds=80", "at least 95"),
        ("config.sources=null", "sources"),
        ("config.http.port=80", "port"),
        ("config.http.push_port=8081", "no source has push.enabled"),
        ("push.ingress.enabled=true,push.ingress.host=a.example", "no source has push.enabled"),
        ("config.sources[0].push.enabled=true,push.ingress.enabled=true", "push.ingress.host: is required"),
        (
            "config.sources[0].recordings.enabled=true,config.sources[0].recordings.directory=/srv/calls",
            "sources.recordings.directory: /srv/calls is outside /var/lib/relay",
        ),
        ("replica=1", "'replica' not allowed"),
        ("config.kafka.delivry=idempotent", "'delivry' not allowed"),
        ("config.kfka.delivery=idempotent", "'kfka' not allowed"),
        ("config.sources[0].endpoints[0].pol.limit=5", "'pol' not allowed"),
        ("config.callbacks[0].name=a,config.callbacks[0].url=http://a,config.callbacks[0].secret=b", "'secret' not"),
    ],
)
def test_values_that_would_lose_data_or_never_start_are_refused(helm: Run, values: str, message: str) -> None:
    base = "config.sources[0].name=a,config.sources[0].base_url=https://a,config.sources[0].auth.type=basic"
    done = helm("template", "test", "helm", "--kube-version", KUBERNETES, "--set", f"{base},{values}")
    assert done.returncode != 0
    assert message in done.stderr


def test_an_endpoint_of_its_own_counts_for_the_grace_period(helm: Run) -> None:
    done = helm(
        "template", "test", "helm", "--kube-version", KUBERNETES, *FULL, "--set", "terminationGracePeriodSeconds=59"
    )
    assert "at least 60" in done.stderr
