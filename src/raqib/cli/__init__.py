"""The command line."""

from __future__ import annotations

import io
import signal
import sys

from raqib.errors import RaqibError

__all__ = ["main"]

_INTERRUPTED = 128 + signal.SIGINT


def main() -> None:
    """Run `raqib`; exit with 0, 1 (error), 2 (usage) or 3 (not permitted here)."""
    for stream in (sys.stdout, sys.stderr):
        # A character that the locale does not have is shown as an escape; it is no reason to fail.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        # Imported here, so that an error of an import is told like any other.
        from raqib.cli.commands import app

        app(prog_name="raqib")
    except KeyboardInterrupt:
        # Ctrl-C before there is anything to end in order.
        raise SystemExit(_INTERRUPTED) from None
    except RaqibError as error:
        for line in str(error).splitlines():
            print(f"raqib: {line}", file=sys.stderr)
        raise SystemExit(error.exit_status) from error
