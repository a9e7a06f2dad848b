"""What can be typed after `relay replay` and `relay inspect`, and their help."""

from typing import Annotated

import typer

from relay.cli.options import AsJson, RelayConfig, RelayUrl, Token, TokenFile


def inspect(
    message_id: Annotated[str, typer.Argument(metavar="MESSAGE_ID")],
    url: RelayUrl = None,
    config: RelayConfig = None,
    token_file: TokenFile = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Show the whole life of a report: fetch, journal, Kafka, each attempt at each callback. Numbers are masked."""
    from relay.cli.life import inspect_report  # noqa: PLC0415 - help must be quick

    raise typer.Exit(inspect_report((url, config, token_file, token), message_id, as_json=as_json))


def replay(
    callback: Annotated[str | None, typer.Option(metavar="NAME", help="To this callback.")] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Reports received since: 90m, 24h, 2d ago, or 2026-02-12T08:00:00Z."),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Reports received before; default: now.")] = None,
    status_group: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only of this status group, DELIVERED or 3; may be given again."),
    ] = None,
    source: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this source.")] = None,
    kind: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this kind.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be sent.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Begin it and return; it goes on by itself.")] = False,
    resume: Annotated[int | None, typer.Option(metavar="ID", min=1, help="Go on with a replay that is paused.")] = None,
    cancel: Annotated[int | None, typer.Option(metavar="ID", min=1, help="End a replay where it is.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the replays, newest first.")] = False,
    url: RelayUrl = None,
    config: RelayConfig = None,
    token_file: TokenFile = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Send a callback again what it got before, from the journal, with the same webhook-id.

    It goes beside new reports, within the callback's rate, concurrency and pauses, and survives a restart of the relay.
    Ctrl-C pauses it, --resume goes on. The exit code is 1 if reports became dead letters or were gone.
    """
    from relay.cli import replay as replays  # noqa: PLC0415 - help must be quick

    place = (url, config, token_file, token)
    given = {"callback": callback, "since": since, "until": until, "source": source, "kind": kind}
    acts = {"resume": resume, "cancel": cancel, "list": list_}
    problem = replays.wrong_use({**given, **acts, "status_group": status_group, "dry_run": dry_run})
    if problem:
        code = replays.complain_of(problem)
    elif list_:
        code = replays.list_replays(place, as_json=as_json)
    elif cancel is not None:
        code = replays.cancel(place, cancel, as_json=as_json)
    elif resume is not None:
        code = replays.resume(place, resume, detach=detach, as_json=as_json)
    else:
        request = {**given, "status_groups": status_group or None, "dry_run": dry_run}
        code = replays.begin(place, request, detach=detach, as_json=as_json)
    raise typer.Exit(code)
