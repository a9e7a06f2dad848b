"""Where Apache Kafka comes from: Maven copies the jars that pom.xml pins into the clone's cache, once."""

import fcntl
import re
import shutil
import subprocess
from pathlib import Path

POM = Path(__file__).with_name("pom.xml")
CACHE = POM.parents[2] / ".cache" / "kafka"
FETCH_SECONDS = 600


class KafkaMissing(Exception):
    """Apache Kafka cannot be run here; the text says what is missing."""


def kafka_jars() -> Path:
    """The directory with the broker's jars, fetched if need be. Several test runs at once wait for one download."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise KafkaMissing(f"{program} is not installed (Java 17 and Maven are needed to run Apache Kafka)")
    jars = CACHE / _pinned_version()
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (jars / ".complete").exists():
            _fetch(jars)
    return jars


def _pinned_version() -> str:
    found = re.search(r"<kafka\.version>([^<]+)<", POM.read_text(encoding="utf-8"))
    assert found is not None, f"{POM} pins no kafka.version"
    return found[1]


def _fetch(jars: Path) -> None:
    shutil.rmtree(jars, ignore_errors=True)
    command = ["mvn", "-B", "-ntp", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={jars}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise KafkaMissing(f"Maven did not fetch Apache Kafka within {FETCH_SECONDS} s") from error
    if done.returncode != 0:
        errors = [line for line in done.stdout.splitlines() if "ERROR" in line]
        raise KafkaMissing("Maven could not fetch Apache Kafka: " + (errors[0] if errors else done.stdout[-300:]))
    (jars / ".complete").touch()
