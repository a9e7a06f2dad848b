"""What can be typed, and its help."""

from pathlib import Path
from typing import Annotated

import typer

import relay
from relay.cli.callbacks_commands import callbacks
from relay.cli.cursor_commands import cursor
from relay.cli.dead_letter_commands import dead_letters
from relay.cli.options import AsJson, ConfigFile, RelayConfig, RelayUrl, Token, TokenFile
from relay.cli.quarantine_commands import quarantine
from relay.cli.replay_commands import inspect, replay

app = typer.Typer(
    name="relay",
    help="Reads Infobip's one-time report queues without losing a report, and publishes each exactly once to Kafka.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(callbacks, name="callbacks")
app.add_typer(quarantine, name="quarantine")
app.add_typer(dead_letters, name="dead-letters")
app.add_typer(cursor, name="cursor")
app.command()(inspect)
app.command()(replay)


def main() -> None:
    """Run the command line; ends the process with its exit code."""
    app()


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"relay {relay.__version__}")
        raise typer.Exit


@app.callback()
def _relay(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    del version  # its callback did it


@app.command()
def run(config: ConfigFile) -> None:
    """Run the relay until SIGTERM or Ctrl-C, which let the poll in flight finish."""
    from relay.cli.run import run_relay  # noqa: PLC0415 - see above: help must be quick

    raise typer.Exit(run_relay(config))


@app.command()
def check(config: ConfigFile, as_json: AsJson = False) -> None:
    """Check everything but a read of reports: configuration, journal, sources, Kafka, callbacks."""
    from relay.cli.check import check_relay  # noqa: PLC0415 - see above

    raise typer.Exit(check_relay(config, as_json=as_json))


@app.command()
def status(
    url: RelayUrl = None,
    config: RelayConfig = None,
    token_file: TokenFile = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Show what a running relay is doing. The token: RELAY_TOKEN, --token-file, or by --config."""
    from relay.cli.status import show_status  # noqa: PLC0415 - see above

    raise typer.Exit(show_status(url=url, config=config, token_file=token_file, token=token, as_json=as_json))


@app.command()
def reconcile(
    since: Annotated[
        str, typer.Option(metavar="DURATION", help="How far back to compare, by time of sending: 90m, 24h, 2d.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is missing, append nothing.")] = False,
    include_earlier: Annotated[
        bool,
        typer.Option(
            "--include-earlier", help="Take in also what is from before the first poll, which another may have read."
        ),
    ] = False,
    source: Annotated[str | None, typer.Option(metavar="NAME", help="Only this source.")] = None,
    kind: Annotated[str | None, typer.Option(metavar="NAME", help="Only this kind.")] = None,
    url: RelayUrl = None,
    config: RelayConfig = None,
    token_file: TokenFile = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Compare with Infobip's logs now, and take in the reports that are missing. Gaps close without it.

    It also finds what another reader of the account took. The last minutes are left out: their reports may still come.
    """
    from relay.cli.reconcile import reconcile as compare  # noqa: PLC0415 - see above

    request = {
        "since": since,
        "dry_run": dry_run,
        "include_earlier": include_earlier,
        "source": source,
        "kind": kind,
    }
    raise typer.Exit(compare((url, config, token_file, token), request, as_json=as_json))


@app.command()
def simulate(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8081,
    rate: Annotated[float, typer.Option(min=0, help="Reports a second, of each kind.")] = 10.0,
    total: Annotated[int | None, typer.Option(min=0, help="Reports in all, of each kind; default: endless.")] = None,
    backlog: Annotated[int, typer.Option(min=0, help="Reports waiting from the start, of each kind.")] = 0,
    kind: Annotated[
        list[str] | None,
        typer.Option(help="Only this kind, sms, voice or email; may be given again. Default: sms, voice."),
    ] = None,
    duplicates: Annotated[float, typer.Option(min=0, max=1, help="Share of reports that repeat an earlier one.")] = 0.0,
    revisions: Annotated[
        float, typer.Option(min=0, max=1, help="Share that bring an earlier one's new outcome.")
    ] = 0.0,
    final_only: Annotated[
        bool, typer.Option("--final-only", help="No report says that its message is still on its way.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Same seed, same reports and faults.")] = 1,
    ledger: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append to it what was handed out, JSON lines.")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT=RATE|JSON",
            help="A fault, for example reset_in_body=0.2 or "
            '\'{"what": "status", "status": 429, "retry_after": "5", "rate": 0.1}\'; may be given again.',
        ),
    ] = None,
    compress: Annotated[bool, typer.Option(help="Send gzip to clients that accept it.")] = False,
    logs_per_minute: Annotated[
        int | None, typer.Option(min=1, help="Requests for logs in a minute, above which they are answered with 429.")
    ] = None,
) -> None:
    """Run the API simulator alone: one-time queues, faults, a ledger of what was handed out.

    It accepts the API key simulator-key, the user simulator with password simulator, the token simulator-token.
    """
    from relay.cli.simulate import WrongOption, run_simulator, simulator_options  # noqa: PLC0415 - see above

    try:
        options = simulator_options(
            host=host,
            port=port,
            rate=rate,
            total=total,
            backlog=backlog,
            kinds=kind or [],
            duplicates=duplicates,
            revisions=revisions,
            final_only=final_only,
            seed=seed,
            ledger=ledger,
            faults=fault or [],
            compress=compress,
            logs_per_minute=logs_per_minute,
        )
    except WrongOption as error:
        raise typer.BadParameter(str(error), param_hint=error.option) from None
    raise typer.Exit(run_simulator(options))


@app.command()
def demo(
    seconds: Annotated[float, typer.Option(min=1, help="How long reports are generated.")] = 20.0,
    rate: Annotated[float, typer.Option(min=1, help="Reports a second.")] = 200.0,
    bootstrap_servers: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Publish to this Kafka, not to an embedded one.")
    ] = None,
) -> None:
    """Show the whole job on this machine: simulator, Kafka, callback receiver, relay, and a verdict at the end."""
    from relay.cli.demo import run_demo  # noqa: PLC0415 - see above

    raise typer.Exit(run_demo(seconds=seconds, rate=rate, bootstrap_servers=bootstrap_servers))
