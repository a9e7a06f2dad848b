"""What must hold between keys. Each rule answers with problems; `broken_rules` runs them all."""

import difflib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from relay.config.callback import CallbackConfig
from relay.config.error import KeyPath, Problem
from relay.config.kafka import KafkaConfig, SecurityConfig
from relay.config.model import Config
from relay.config.secret_rules import broken_secrets
from relay.config.source import GENERATIONS, AuthConfig, EndpointConfig, PollConfig, SourceConfig
from relay.domain.recordings import RECORDED_KIND

DEDUP_MARGIN_HOURS = 24


def broken_rules(config: Config) -> Iterator[Problem]:
    """Every rule that `config` breaks."""
    yield from _repeated("sources", [source.name for source in config.sources])
    yield from _repeated("callbacks", [callback.name for callback in config.callbacks])
    for index, source in enumerate(config.sources):
        yield from _source_problems(source, ("sources", index))
    for index, callback in enumerate(config.callbacks):
        yield from _callback_problems(callback, ("callbacks", index), config)
    if config.kafka is not None:
        yield from _topic_problems(config.kafka, kinds_of(config))
        yield from _security_problems(config.kafka.security, ("kafka", "security"))
    elif not config.callbacks:
        yield Problem((), "reports would go nowhere; add kafka: or callbacks:")
    yield from _window_problems(config)
    if config.http.push_port is not None and config.http.push_port == config.http.port != 0:
        yield Problem(("http", "push_port"), "is the same as port; leave it out to share that port")
    yield from broken_secrets(config)


def kinds_of(config: Config) -> set[str]:
    return {endpoint.kind for source in config.sources for endpoint in source.endpoints}


def meant(given: str, known: Iterable[str]) -> str:
    """`did you mean "sms"?` or, if nothing is near, what there is."""
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=1)
    return f'did you mean "{near[0]}"?' if near else "there is " + ", ".join(names)


def _repeated(key: str, names: Collection[str]) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            yield Problem((key, index, "name"), f'"{name}" is used before; every name must be unique')
        seen.add(name)


def _window_problems(config: Config) -> Iterator[Problem]:
    lookback_hours = max(source.reconcile.lookback_hours for source in config.sources)
    least_hours = lookback_hours + DEDUP_MARGIN_HOURS
    if config.dedup.window_hours < least_hours:
        what = f"must be at least {least_hours:g} (reconcile.lookback_hours {lookback_hours:g} + {DEDUP_MARGIN_HOURS})"
        yield Problem(("dedup", "window_hours"), what)


# --- sources ---


def _source_problems(source: SourceConfig, path: KeyPath) -> Iterator[Problem]:
    yield from _auth_problems(source.auth, (*path, "auth"))
    yield from _poll_problems(source.poll, (*path, "poll"))
    seen: Counter[str] = Counter()
    for index, endpoint in enumerate(source.endpoints):
        place = (*path, "endpoints", index)
        seen[endpoint.kind] += 1
        if seen[endpoint.kind] > 1:
            yield Problem(place, f'kind "{endpoint.kind}" is read before; one endpoint for each kind')
        yield from _path_problems(endpoint, place)
        if endpoint.poll is not None and endpoint.poll != source.poll:
            yield from _poll_problems(endpoint.poll, (*place, "poll"))
    if source.recordings.enabled and RECORDED_KIND not in seen:
        yield Problem((*path, "recordings", "enabled"), "needs voice among the endpoints; only calls are recorded")
    if source.push.enabled and source.push.token is None:
        yield Problem((*path, "push", "token"), "is required while push is enabled")
    yield from _file_problems(source, path, ("ca_file",))


def _path_problems(endpoint: EndpointConfig, path: KeyPath) -> Iterator[Problem]:
    kind, version = endpoint.kind, endpoint.version
    known = GENERATIONS.get(kind)
    if version is not None and endpoint.path is not None:
        yield Problem(
            (*path, "version"), "does not belong beside path, which says where to read; leave one of them out"
        )
    elif known is None and endpoint.path is None:
        yield Problem(path, f'kind "{kind}" is unknown and has no path; {meant(kind, GENERATIONS)}')
    elif version is not None and known is not None and version not in known:
        versions = " and ".join(str(number) for number in sorted(known))
        yield Problem((*path, "version"), f"is unknown; {kind} has {versions}")


def _auth_problems(auth: AuthConfig, path: KeyPath) -> Iterator[Problem]:
    needed = ("username", "password") if auth.type == "basic" else ("token",)
    for key in ("username", "password", "token"):
        given = getattr(auth, key) is not None
        if key in needed and not given:
            yield Problem((*path, key), f"is required for type {auth.type}")
        if key not in needed and given:
            yield Problem((*path, key), f"does not belong to type {auth.type}, which takes {' and '.join(needed)}")


def _poll_problems(poll: PollConfig, path: KeyPath) -> Iterator[Problem]:
    if poll.interval_seconds > poll.max_interval_seconds:
        yield Problem((*path, "max_interval_seconds"), f"must be at least interval_seconds ({poll.interval_seconds:g})")


# --- Kafka ---


def _topic_problems(kafka: KafkaConfig, kinds: Collection[str]) -> Iterator[Problem]:
    for key in ("topic", "revisions_topic"):
        template: str = getattr(kafka, key)
        if len(kinds) > 1 and "{kind}" not in template:
            yield Problem(("kafka", key), "must contain {kind}: several kinds are read, and each has its topics")
        if any(len(template.replace("{kind}", kind)) > 249 for kind in kinds):
            yield Problem(("kafka", key), "becomes longer than 249 characters with the longest kind")
    taken: dict[str, str] = {}
    for key in ("topic", "revisions_topic", "quarantine_topic", "recordings_topic", "cursor_topic"):
        for name in {getattr(kafka, key).replace("{kind}", kind) for kind in kinds}:
            if name in taken:
                yield Problem(("kafka", key), f"is the same topic as {taken[name]}; each needs its own")
            taken.setdefault(name, key)


def _security_problems(security: SecurityConfig, path: KeyPath) -> Iterator[Problem]:
    sasl = security.protocol.startswith("SASL")
    if sasl and security.mechanism is None:
        yield Problem((*path, "mechanism"), f"is required for {security.protocol}")
    if not sasl and security.mechanism is not None:
        yield Problem((*path, "protocol"), "must be SASL_SSL or SASL_PLAINTEXT where a mechanism is given")
    needed = {None: (), "OAUTHBEARER": ("token_file",)}.get(security.mechanism, ("username", "password"))
    for key in ("username", "password", "token_file"):
        given = getattr(security, key) is not None
        if key in needed and not given:
            yield Problem((*path, key), f"is required for {security.mechanism}")
        if key not in needed and given:
            yield Problem((*path, key), f"does not belong to mechanism {security.mechanism or 'none'}; leave it out")
    yield from _tls_problems(
        security, path, uses_tls=security.protocol.endswith("SSL"), where="protocol SSL or SASL_SSL"
    )
    yield from _file_problems(security, path, ("token_file",))


# --- callbacks ---


def _callback_problems(callback: CallbackConfig, path: KeyPath, config: Config) -> Iterator[Problem]:
    known = {"kinds": kinds_of(config), "sources": {source.name for source in config.sources}}
    for key, names in known.items():
        for index, name in enumerate(getattr(callback, key) or ()):
            if name not in names:
                yield Problem((*path, key, index), f'"{name}" is not configured; {meant(name, names)}')
    if callback.retry.initial_seconds > callback.retry.max_seconds:
        yield Problem((*path, "retry", "max_seconds"), "must be at least initial_seconds")
    yield from _tls_problems(callback, path, uses_tls=callback.url.startswith("https:"), where="an https:// url")


# --- TLS ---


def _tls_problems(
    section: SecurityConfig | CallbackConfig, path: KeyPath, *, uses_tls: bool, where: str
) -> Iterator[Problem]:
    for key in ("ca_file", "cert_file", "key_file"):
        if getattr(section, key) is not None and not uses_tls:
            yield Problem((*path, key), f"is of use only with {where}; change that or leave it out")
    for key, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
        if getattr(section, key) is None and getattr(section, other) is not None:
            yield Problem((*path, key), f"is required beside {other}")
    yield from _file_problems(section, path, ("ca_file", "cert_file", "key_file"))


def _file_problems(
    section: SourceConfig | SecurityConfig | CallbackConfig, path: KeyPath, keys: Iterable[str]
) -> Iterator[Problem]:
    for key in keys:
        file = getattr(section, key)
        if file is None:
            continue
        try:
            file.open("rb").close()
        except OSError as error:
            yield Problem((*path, key), f"{file} cannot be read: {error.strerror}; mount it or correct the path")
