"""What can be typed after `relay cursor`, and its help."""

from typing import Annotated

import typer

from relay.cli.options import AsJson, RelayConfig, RelayUrl, Token, TokenFile

cursor = typer.Typer(
    help="How far each stream has come in Kafka; where to begin in another cluster.",
    no_args_is_help=True,
)


@cursor.command("list")
def list_(
    url: RelayUrl = None,
    config: RelayConfig = None,
    token_file: TokenFile = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """List the streams: position in Kafka, last entry, what the journal still holds, cluster."""
    from relay.cli.cursor import list_cursors  # noqa: PLC0415 - help must be quick

    raise typer.Exit(list_cursors((url, config, token_file, token), as_json=as_json))


@cursor.command("set")
def place(
    streams: Annotated[list[str], typer.Argument(metavar="SOURCE/KIND", help="Streams, acme/sms for example.")],
    after: Annotated[
        str,
        typer.Option(
            metavar="kept|earliest|SEQ",
            help="kept: go on after what the former cluster got; earliest: send all that the journal still holds; "
            "SEQ: go on after the entry with this relay_seq.",
        ),
    ],
    url: RelayUrl = None,
    config: RelayConfig = None,
    token_file: TokenFile = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Say where to begin in another cluster, when publishing waits because the brokers belong to one.

    What this cluster already has of the stream counts for more: nothing is sent to it twice.
    """
    from relay.cli.cursor import set_cursors  # noqa: PLC0415 - help must be quick

    raise typer.Exit(set_cursors((url, config, token_file, token), streams, after, as_json=as_json))
