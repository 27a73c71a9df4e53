"""The command line."""

from __future__ import annotations

import sys

from raqib.errors import RaqibError

__all__ = ["main"]


def main() -> None:
    """Run `raqib`; exit with 0, 1 (error), 2 (usage) or 3 (not permitted here)."""
    # Imported here, so that an error of an import is told like any other.
    from raqib.cli.commands import app

    try:
        app(prog_name="raqib")
    except RaqibError as error:
        print(f"raqib: {error}", file=sys.stderr)
        raise SystemExit(error.exit_status) from error
