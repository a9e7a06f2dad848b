"""What can be typed after `relay callbacks`, and its help."""

from typing import Annotated

import typer

from relay.cli.options import AsJson, RelayConfig, RelayUrl, Token, TokenFile

callbacks = typer.Typer(
    help="How callbacks stand; pause them, resume them, send them a sample.",
    no_args_is_help=True,
)

Names = Annotated[list[str], typer.Argument(metavar="NAME", help="Callbacks, by their names in the configuration.")]


@callbacks.command("list")
def list_(
    url: RelayUrl = None,
    config: RelayConfig = None,
    token_file: TokenFile = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """List the callbacks: open, half open or paused, and what waits for them."""
    from relay.cli.callbacks import list_callbacks  # noqa: PLC0415 - help must be quick

    raise typer.Exit(list_callbacks((url, config, token_file, token), as_json=as_json))


@callbacks.command()
def pause(
    names: Names,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for whoever looks at it later.")] = "",
    url: RelayUrl = None,
    config: RelayConfig = None,
    token_file: TokenFile = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Send a callback nothing until it is resumed, also after a restart.

    Its reports wait. Beyond retry.max_age_seconds or max_backlog they become dead letters, as always.
    """
    from relay.cli.callbacks import pause_callbacks  # noqa: PLC0415 - help must be quick

    raise typer.Exit(pause_callbacks((url, config, token_file, token), names, reason=reason, as_json=as_json))


@callbacks.command()
def resume(
    names: Names,
    url: RelayUrl = None,
    config: RelayConfig = None,
    token_file: TokenFile = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Go on sending to a callback that is paused, by hand or because it answered 410, or that is half open."""
    from relay.cli.callbacks import resume_callbacks  # noqa: PLC0415 - help must be quick

    raise typer.Exit(resume_callbacks((url, config, token_file, token), names, as_json=as_json))


@callbacks.command("test")
def send_sample(
    names: Names,
    kind: Annotated[
        str | None, typer.Option(metavar="NAME", help="A sample of this kind; default: of the first it follows.")
    ] = None,
    url: RelayUrl = None,
    config: RelayConfig = None,
    token_file: TokenFile = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Send a callback one signed sample now, paused or not, and show its answer.

    The sample's messageId begins with relay-test-. The exit code is 1 if the answer is not 2xx.
    """
    from relay.cli.callbacks import send_samples  # noqa: PLC0415 - help must be quick

    raise typer.Exit(send_samples((url, config, token_file, token), names, kind=kind, as_json=as_json))
