"""The event that a command is to look at: in a file, on standard input, or in the event log."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

from raqib.errors import RaqibError
from raqib.offline.event_log import find_detection, is_identity
from raqib.offline.printed import Document, Printed, read_document
from raqib.printers.escape import visible

EventOption = Annotated[
    str,
    typer.Option(
        "--event",
        metavar="FILE|-|UUID",
        help="An event as raqib prints it, or a sample as in the tests of recipes, as JSON or YAML; "
        "or the UUID of an event in the event log, or its beginning.",
    ),
]
Log = Annotated[Path | None, typer.Option(help="Events as JSON lines; default: the varlog printer's file.")]

_MOST_NAMED = 8


def read_event(event: str, logs: Sequence[Path]) -> Document:
    """Read the event that is meant; of a compact one the whole, if the logs have that. Raises RaqibError."""
    path = Path(event)
    if event != "-" and is_identity(event) and not path.exists():
        found = find_detection(logs, event)
        if found is None:
            raise RaqibError(f"--event: expected a file, or an event in {logs[-1]}, found no {event}; see --log")
        return Document(event, b"", found)
    document = read_document(path)
    printed = document.printed
    if printed is None or printed.cut is None:
        return document
    try:
        whole = find_detection(logs, printed.event.uuid)
    except RaqibError as error:
        print(f"raqib: note: {visible(str(error))}", file=sys.stderr)
        return document
    same = whole is not None and whole.cut is None and whole.event.event_type == printed.event.event_type
    return replace(document, printed=whole) if same else document


def note_cut(printed: Printed, log: Path, may_differ: Sequence[str]) -> None:
    """Say, if an event is compact, what is missing, and what could have another answer with that."""
    if printed.cut is None:
        return
    missing = [
        "details of ancestors" if gap.field == "background.ancestry.*" else f"{gap.left_out} {gap.unit} of {gap.field}"
        for gap in printed.cut
    ]
    told = ", ".join(missing[:_MOST_NAMED]) + (", …" if len(missing) > _MOST_NAMED else "")
    differing = ", ".join(may_differ[:_MOST_NAMED]) + (", …" if len(may_differ) > _MOST_NAMED else "")
    line = (
        f"the event is compact, and {log} has not the whole one; missing: {told or 'nothing'}; "
        f"could differ: {differing or 'nothing'}"
    )
    print(f"raqib: note: {visible(line, 2000)}", file=sys.stderr)
