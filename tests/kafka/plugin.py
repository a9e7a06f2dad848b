"""Fixtures with a real Apache Kafka. Where it cannot run, tests are skipped with the reason, or fail if
RELAY_REQUIRE_SERVERS=1."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kafka.broker import Cluster
from tests.kafka.distribution import KafkaMissing, kafka_jars


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fetch Kafka before the first test's time runs."""
    if session.config.option.collectonly or not any(item.get_closest_marker("kafka") for item in session.items):
        return
    with contextlib.suppress(KafkaMissing):
        kafka_jars()


def _require_kafka() -> None:
    try:
        kafka_jars()
    except KafkaMissing as missing:
        if os.environ.get("RELAY_REQUIRE_SERVERS") == "1":
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One broker for the whole run: tests take topics and ids of their own and leave it running."""
    _require_kafka()
    yield from _running(tmp_path_factory.mktemp("kafka") / "shared")


@pytest.fixture(scope="module")
def fragile_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A broker of the module's own, to be killed, frozen and started again; tests leave it serving."""
    _require_kafka()
    yield from _running(tmp_path_factory.mktemp("kafka") / "fragile")


@pytest.fixture
def new_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Cluster]]:
    """Makes further clusters (arguments as of Cluster), stopped at the end of the test."""
    _require_kafka()
    clusters: list[Cluster] = []

    def make(**options: object) -> Cluster:
        directory: Path = tmp_path_factory.mktemp("kafka") / "own"
        cluster = Cluster(directory, **options)  # type: ignore[arg-type]
        clusters.append(cluster)
        cluster.start()
        return cluster

    yield make
    for cluster in clusters:
        cluster.kill()


def _running(directory: Path) -> Iterator[Cluster]:
    cluster = Cluster(directory)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()
