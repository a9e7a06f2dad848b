"""Apache Kafka for tests: real brokers in KRaft mode on free ports, which can be killed, frozen and started again.

Every broker listens on PLAINTEXT, TLS, MTLS (client certificate required), SASL (PLAIN, SCRAM, OAUTHBEARER without
encryption), SASL_TLS, and PROXIED (of the protocol wanted): that one tells clients to come to the port PROXY, where a
test's proxy may stand.
Users: alice (password `alice-secret`), limited (`limited-secret`); tokens are unsecured JWTs.
"""

import base64
import contextlib
import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import trustme
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic
from cryptography.hazmat.primitives import serialization

from tests.kafka.distribution import kafka_jars

HOST = "127.0.0.1"
START_SECONDS = 180
STOP_SECONDS = 30
LISTENERS = {
    "PLAINTEXT": "PLAINTEXT",
    "TLS": "SSL",
    "MTLS": "SSL",
    "SASL": "SASL_PLAINTEXT",
    "SASL_TLS": "SASL_SSL",
    "PROXIED": "PLAINTEXT",
}
OTHER_PORTS = ("PROXY", "CONTROLLER")
USERS = {"alice": "alice-secret", "limited": "limited-secret"}
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
TEST_JVM = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Quick to start and light on two cores; a benchmark gives the compiler all its levels."""

SINGLE_BROKER = {
    "group.initial.rebalance.delay.ms": "0",
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "log.retention.ms": "-1",  # records of tests are as old as they like
    "num.network.threads": "2",
    "num.io.threads": "4",
    "offsets.topic.num.partitions": "2",
    "transaction.state.log.num.partitions": "2",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
    "super.users": "User:ANONYMOUS",
}
LOG_CONFIGURATION = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %-5p %c: %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
"""


class Certificates(NamedTuple):
    """PEM files: the authority, the broker's and a client's."""

    ca_file: Path
    server_file: Path
    client_cert_file: Path
    client_key_file: Path
    stranger_ca_file: Path
    """An authority that signed nothing here."""


class Broker:
    """One broker process (and KRaft controller) with its data directory; started again it keeps data and ports."""

    def __init__(
        self,
        node_id: int,
        directory: Path,
        ports: dict[str, int],
        voters: str,
        certificates: Certificates,
        settings: dict[str, str],
        jvm: tuple[str, ...],
        proxied: str,
    ) -> None:
        self.node_id = node_id
        self.directory = directory
        self.ports = ports
        self._jvm = jvm
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True)
        self._properties = directory / "server.properties"
        lines = _properties(node_id, directory, ports, voters, certificates, proxied) | settings
        self._properties.write_text("".join(f"{key}={value}\n" for key, value in lines.items()), encoding="utf-8")
        (directory / "log4j2.properties").write_text(LOG_CONFIGURATION, encoding="utf-8")

    def format(self, cluster_id: str) -> None:
        scram = [
            argument
            for name, password in USERS.items()
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for argument in ("--add-scram", f"{mechanism}=[name={name},password={password}]")
        ]
        command = self._java("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(self._properties), *scram)
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS, check=False)
        assert done.returncode == 0, f"formatting failed: {done.stdout}{done.stderr}"

    def start(self) -> None:
        """Start the process; `Cluster.wait_until_ready` says when it serves."""
        assert self._process is None, "already running"
        with (self.directory / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", str(self._properties)), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def stop(self) -> None:
        """SIGTERM and wait; does nothing if it is down."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: as if the machine died, but for the page cache."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._running().send_signal(signal.SIGCONT)

    @property
    def exited(self) -> bool:
        return self._process is None or self._process.poll() is not None

    @property
    def log_tail(self) -> str:
        return (self.directory / "broker.log").read_text(encoding="utf-8", errors="replace")[-3000:]

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "not running"
        return self._process

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.send_signal(how)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _java(self, main: str, *arguments: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={self.directory / 'log4j2.properties'}"
        return ["java", *self._jvm, logging, "-cp", f"{kafka_jars()}/*", main, *arguments]


class Cluster:
    """Brokers that form one cluster. `bootstrap_servers` is the PLAINTEXT listener, `listener(name)` any other."""

    def __init__(
        self,
        directory: Path,
        *,
        brokers: int = 1,
        settings: dict[str, str] | None = None,
        jvm: tuple[str, ...] = TEST_JVM,
        proxied: str = "PLAINTEXT",
        ports: Sequence[dict[str, int]] = (),
    ) -> None:
        """`proxied`: the protocol of the listener PROXIED. `ports`: those of another cluster, which is down."""
        self.cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode().replace("-", "A")
        self.certificates = make_certificates(directory / "tls")
        self.proxied = proxied
        ports = list(ports) or [dict(zip((*LISTENERS, *OTHER_PORTS), free_ports(len(LISTENERS) + len(OTHER_PORTS)),
                                strict=True)) for _ in range(brokers)]  # fmt: skip
        voters = ",".join(f"{number}@{HOST}:{own['CONTROLLER']}" for number, own in enumerate(ports, 1))
        replicas = {
            "offsets.topic.replication.factor": str(brokers),
            "transaction.state.log.replication.factor": str(brokers),
            "transaction.state.log.min.isr": str(min(brokers, 2)),
            "default.replication.factor": str(brokers),
        }
        all_settings = SINGLE_BROKER | replicas | (settings or {})
        self.brokers = [
            Broker(number, directory / f"broker-{number}", own, voters, self.certificates, all_settings, jvm, proxied)
            for number, own in enumerate(ports, 1)
        ]

    @property
    def bootstrap_servers(self) -> str:
        return self.listener("PLAINTEXT")

    def listener(self, name: str) -> str:
        return ",".join(f"{HOST}:{broker.ports[name]}" for broker in self.brokers)

    def start(self) -> None:
        for broker in self.brokers:
            broker.format(self.cluster_id)
        self.start_brokers()

    def start_brokers(self) -> None:
        """Start all that are down, on the data they have, and wait until they serve."""
        for broker in self.brokers:
            if broker.exited:
                broker.start()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._serves():
            for broker in self.brokers:
                assert not broker.exited, f"the broker ended: {broker.log_tail}"
            assert time.monotonic() < deadline, f"not ready in {START_SECONDS} s: {self.brokers[0].log_tail}"
            time.sleep(0.1)

    def stop(self) -> None:
        for broker in self.brokers:
            broker.stop()

    def kill(self) -> None:
        for broker in self.brokers:
            broker.kill()

    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})

    def create_topics(self, *names: str, partitions: int = 3, config: dict[str, str] | None = None) -> None:
        new = [NewTopic(name, partitions, len(self.brokers), config=config or {}) for name in names]
        admin = self.admin()
        for created in admin.create_topics(new).values():
            created.result(30)

    def another_in_its_place(self, directory: Path) -> "Cluster":
        """A cluster of one broker where the first broker of this one listens, once this one is down."""
        return Cluster(directory, ports=[self.brokers[0].ports], proxied=self.proxied)

    def delete_topics(self, *names: str) -> None:
        admin = self.admin()
        for deleted in admin.delete_topics(list(names)).values():
            deleted.result(30)

    def _serves(self) -> bool:
        for broker in self.brokers:
            with contextlib.closing(socket.socket()) as probe:
                if probe.connect_ex((HOST, broker.ports["PLAINTEXT"])) != 0:
                    return False
        try:
            return len(self.admin().list_topics(timeout=2).brokers) == len(self.brokers)
        except KafkaException:
            return False


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below the range that outgoing connections take theirs from."""
    found: list[int] = []
    start = 10_000 + (os.getpid() * 37 + time.monotonic_ns() // 1000) % 20_000
    for port in range(start, 32_000):
        with contextlib.closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if probe.connect_ex((HOST, port)) != 0:
                found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no free ports")


def make_certificates(directory: Path) -> Certificates:
    directory.mkdir(parents=True)
    authority, stranger = trustme.CA(), trustme.CA()
    server = authority.issue_cert(HOST, "localhost")
    client = authority.issue_cert("relay@test")
    files = Certificates(*(directory / name for name in ("ca.pem", "server.pem", "cert.pem", "key.pem", "other.pem")))
    authority.cert_pem.write_to_path(str(files.ca_file))
    stranger.cert_pem.write_to_path(str(files.stranger_ca_file))
    # The JVM reads PKCS#8 only.
    files.server_file.write_bytes(_pkcs8(server) + b"".join(blob.bytes() for blob in server.cert_chain_pems))
    client.private_key_pem.write_to_path(str(files.client_key_file))
    files.client_cert_file.write_bytes(b"".join(blob.bytes() for blob in client.cert_chain_pems))
    return files


def _pkcs8(certificate: trustme.LeafCert) -> bytes:
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), password=None)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _properties(
    node_id: int, directory: Path, ports: dict[str, int], voters: str, certificates: Certificates, proxied: str
) -> dict[str, str]:
    addresses = [f"{name}://{HOST}:{ports[name]}" for name in LISTENERS]
    properties = {
        "process.roles": "broker,controller",
        "node.id": str(node_id),
        "controller.quorum.voters": voters,
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listeners": ",".join([*addresses, f"CONTROLLER://{HOST}:{ports['CONTROLLER']}"]),
        "advertised.listeners": ",".join([*addresses[:-1], f"PROXIED://{HOST}:{ports['PROXY']}"]),
        "listener.security.protocol.map": ",".join(
            ["CONTROLLER:PLAINTEXT"]
            + [f"{name}:{protocol}" for name, protocol in {**LISTENERS, "PROXIED": proxied}.items()]
        ),
        "log.dirs": str(directory / "data"),
        "listener.name.mtls.ssl.client.auth": "required",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(certificates.server_file),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(certificates.ca_file),
        "sasl.enabled.mechanisms": ",".join(MECHANISMS),
    }
    for listener in ("sasl", "sasl_tls", "proxied"):
        for mechanism, module in _login_modules().items():
            properties[f"listener.name.{listener}.{mechanism}.sasl.jaas.config"] = module
    return properties


def _login_modules() -> dict[str, str]:
    security = "org.apache.kafka.common.security"
    users = " ".join(f'user_{name}="{password}"' for name, password in USERS.items())
    scram = f"{security}.scram.ScramLoginModule required;"
    oauth = f'{security}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";'
    return {
        "plain": f"{security}.plain.PlainLoginModule required {users};",
        "scram-sha-256": scram,
        "scram-sha-512": scram,
        "oauthbearer": oauth,
    }
