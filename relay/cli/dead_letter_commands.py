"""What can be typed after `relay dead-letters`, and its help."""

from typing import Annotated

import typer

from relay.cli.options import AsJson, Id, Ids, Kind, Reason, RelayConfig, RelayUrl, Source, Token, TokenFile

dead_letters = typer.Typer(
    help="Deliveries given up: look at them, send them again, drop them.",
    no_args_is_help=True,
)

CallbackName = Annotated[str | None, typer.Option("--callback", metavar="NAME", help="Only of this callback.")]
Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Only if given up since: 90m, 24h, 2d ago, or 2026-02-12T08:00:00Z."),
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Only those given up before.")]
Status = Annotated[
    int | None, typer.Option(min=1, max=999, metavar="CODE", help="Only if the last attempt was answered with this.")
]
All = Annotated[bool, typer.Option("--all", help="All that the filters leave, instead of IDs.")]


@dead_letters.command("list")
def list_(
    callback: CallbackName = None,
    source: Source = None,
    kind: Kind = None,
    since: Since = None,
    until: Until = None,
    reason: Reason = None,
    status: Status = None,
    limit: Annotated[int, typer.Option(min=1, help="Dead letters at most.")] = 100,
    after: Annotated[int, typer.Option(metavar="ID", min=0, help="Only dead letters after this one.")] = 0,
    url: RelayUrl = None,
    config: RelayConfig = None,
    token_file: TokenFile = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, by ID."""
    from relay.cli.dead_letters import Wanted, list_letters  # noqa: PLC0415 - help must be quick

    place = (url, config, token_file, token)
    wanted = Wanted(callback, source, kind, since, until, reason, status)
    raise typer.Exit(list_letters(place, wanted, limit=limit, after=after, as_json=as_json))


@dead_letters.command()
def show(
    id_: Id,
    url: RelayUrl = None,
    config: RelayConfig = None,
    token_file: TokenFile = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Show one dead letter: its reports, with phone numbers masked, and every attempt."""
    from relay.cli.dead_letters import show_letter  # noqa: PLC0415 - help must be quick

    raise typer.Exit(show_letter((url, config, token_file, token), id_, as_json=as_json))


@dead_letters.command()
def replay(
    ids: Ids = None,
    every: All = False,
    callback: CallbackName = None,
    source: Source = None,
    kind: Kind = None,
    since: Since = None,
    until: Until = None,
    reason: Reason = None,
    status: Status = None,
    url: RelayUrl = None,
    config: RelayConfig = None,
    token_file: TokenFile = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Send dead letters again, with the same webhook-id, their age counted anew.

    They are no dead letters any more, but wait for their callback, whose rate, concurrency and pauses hold. With --all
    they are put back as fast as it takes them; interrupted, the rest stay dead letters.
    """
    from relay.cli.dead_letters import Choice, Wanted, replay_letters  # noqa: PLC0415 - help must be quick

    choice = Choice(tuple(ids or ()), every, Wanted(callback, source, kind, since, until, reason, status))
    raise typer.Exit(replay_letters((url, config, token_file, token), choice, as_json=as_json))


@dead_letters.command()
def drop(
    ids: Ids = None,
    every: All = False,
    callback: CallbackName = None,
    source: Source = None,
    kind: Kind = None,
    since: Since = None,
    until: Until = None,
    reason: Reason = None,
    status: Status = None,
    url: RelayUrl = None,
    config: RelayConfig = None,
    token_file: TokenFile = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Drop dead letters: their callback never gets them. They are counted."""
    from relay.cli.dead_letters import Choice, Wanted, drop_letters  # noqa: PLC0415 - help must be quick

    choice = Choice(tuple(ids or ()), every, Wanted(callback, source, kind, since, until, reason, status))
    raise typer.Exit(drop_letters((url, config, token_file, token), choice, as_json=as_json))
