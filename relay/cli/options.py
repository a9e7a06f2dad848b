"""Options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", metavar="FILE", envvar="RELAY_CONFIG", help="The configuration, YAML.")
]
RelayUrl = Annotated[
    str | None, typer.Option("--url", help="Of the running relay; default: from --config, else http://127.0.0.1:8080.")
]
RelayConfig = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", envvar="RELAY_CONFIG", help="Where address and token are from."),
]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", metavar="FILE", help="Holds the token: relay.token beside the journal.")
]
Token = Annotated[str | None, typer.Option(envvar="RELAY_TOKEN", hidden=True, help="For the environment variable.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]

Source = Annotated[str | None, typer.Option(metavar="NAME", help="Only of this source.")]
Kind = Annotated[str | None, typer.Option(metavar="NAME", help="Only of this kind.")]
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Only if this is part of the reason, in any case.")]
Id = Annotated[int, typer.Argument(metavar="ID", min=1)]
Ids = Annotated[list[int] | None, typer.Argument(metavar="ID", min=1)]
