"""`python -m relay.config schema|reference [FILE]`: print, or bring FILE up to date."""

import sys
from collections.abc import Sequence
from pathlib import Path

from relay.config.reference import documented, json_schema, markdown

USAGE = "usage: python -m relay.config schema [FILE] | reference [README]\n"


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
        case _:
            sys.stderr.write(USAGE)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
