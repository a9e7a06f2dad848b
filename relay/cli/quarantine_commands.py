"""What can be typed after `relay quarantine`, and its help."""

from typing import Annotated

import typer

from relay.cli.options import AsJson, Id, Ids, Kind, Reason, RelayConfig, RelayUrl, Source, Token, TokenFile

quarantine = typer.Typer(
    help="Bytes that were no report, and records that Kafka refused: look at them, retry them, drop them.",
    no_args_is_help=True,
)

All = Annotated[bool, typer.Option("--all", help="All that --source, --kind and --reason leave, instead of IDs.")]


@quarantine.command("list")
def list_(
    source: Source = None,
    kind: Kind = None,
    reason: Reason = None,
    done: Annotated[bool, typer.Option("--done", help="Also what was retried and has become reports.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Entries at most.")] = 100,
    after: Annotated[int, typer.Option(metavar="ID", min=0, help="Only entries after this one.")] = 0,
    url: RelayUrl = None,
    config: RelayConfig = None,
    token_file: TokenFile = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """List what is in quarantine, by ID."""
    from relay.cli.quarantine import Wanted, list_entries  # noqa: PLC0415 - help must be quick

    place = (url, config, token_file, token)
    wanted = Wanted(source, kind, reason, done)
    raise typer.Exit(list_entries(place, wanted, limit=limit, after=after, as_json=as_json))


@quarantine.command()
def show(
    id_: Id,
    most: Annotated[int, typer.Option("--bytes", min=0, max=65_536, help="Bytes shown at most.")] = 1024,
    as_hex: Annotated[bool, typer.Option("--hex", help="Show the bytes as numbers, also if they are text.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Write all bytes as they are, into a file or a pipe.")] = False,
    url: RelayUrl = None,
    config: RelayConfig = None,
    token_file: TokenFile = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Show one entry and the first of its bytes, escaped. With --json the bytes are base64."""
    from relay.cli.quarantine import show_entry, write_bytes  # noqa: PLC0415 - help must be quick

    place = (url, config, token_file, token)
    if raw:
        raise typer.Exit(write_bytes(place, id_))
    raise typer.Exit(show_entry(place, id_, most_bytes=most, as_hex=as_hex, as_json=as_json))


@quarantine.command()
def retry(
    ids: Ids = None,
    every: All = False,
    source: Source = None,
    kind: Kind = None,
    reason: Reason = None,
    url: RelayUrl = None,
    config: RelayConfig = None,
    token_file: TokenFile = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Decode entries again, after an upgrade for example. What is usable now is published as reports.

    Its reports carry the time of the retry as the time of arrival. A record that Kafka refused is sent again. What
    still is no report stays, and the exit code is 1.
    """
    from relay.cli.quarantine import Choice, Wanted, retry_entries  # noqa: PLC0415 - help must be quick

    choice = Choice(tuple(ids or ()), every, Wanted(source, kind, reason))
    raise typer.Exit(retry_entries((url, config, token_file, token), choice, as_json=as_json))


@quarantine.command()
def drop(
    ids: Ids = None,
    every: All = False,
    source: Source = None,
    kind: Kind = None,
    reason: Reason = None,
    url: RelayUrl = None,
    config: RelayConfig = None,
    token_file: TokenFile = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Drop entries: their bytes are gone then."""
    from relay.cli.quarantine import Choice, Wanted, drop_entries  # noqa: PLC0415 - help must be quick

    choice = Choice(tuple(ids or ()), every, Wanted(source, kind, reason))
    raise typer.Exit(drop_entries((url, config, token_file, token), choice, as_json=as_json))
