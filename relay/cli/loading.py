"""The configuration for a command: loaded, or what is wrong with it said without a traceback."""

import structlog

from relay.cli.output import WRONG, complain
from relay.config import Config, ConfigError, ConfigFile, advice, key_path, summary
from relay.observe import configure_logging

log = structlog.get_logger(__name__)


def load_or_complain(file: ConfigFile) -> Config | int:
    """The configuration, or the exit code after its problems were printed."""
    try:
        return file.load()
    except ConfigError as error:
        return complain(str(error), WRONG)


def start_logging(config: Config, file: ConfigFile) -> None:
    """From here on everything is logged as configured, with every secret of the file masked."""
    configure_logging(
        level=config.log.level,
        style=config.log.format,
        instance=config.instance,
        secrets=file.secret_texts,
    )


def log_summary(config: Config, version: str) -> None:
    """What the relay starts with; secrets say "configured"."""
    log.info("relay starts", version=version, configuration=summary(config))
    for problem in advice(config):
        log.warning("configuration advice", key=key_path(problem.path), advice=problem.message)
