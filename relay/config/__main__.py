"""`python -m relay.config schema|reference [FILE]`: print, or bring FILE up to date; `chart FILE` likewise."""

import sys
from collections.abc import Sequence
from pathlib import Path

from relay.config.reference import chart_schema, documented, json_schema, markdown

USAGE = "usage: python -m relay.config schema [FILE] | reference [README] | chart VALUES_SCHEMA\n"


def main(arguments: Sequence[str]) -> int:
    match arguments:
        case ["schema"]:
            sys.stdout.write(json_schema())
        case ["schema", file]:
            Path(file).write_text(json_schema(), encoding="utf-8")
        case ["reference"]:
            sys.stdout.write(markdown())
        case ["reference", file]:
            Path(file).write_text(documented(Path(file).read_text(encoding="utf-8")), encoding="utf-8")
        case ["chart", file]:
            Path(file).write_text(chart_schema(Path(file).read_text(encoding="utf-8")), encoding="utf-8")
        case _:
            sys.stderr.write(USAGE)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
