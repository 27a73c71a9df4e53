"""What was kept of an event: in the event log, also in its older files, and in the ledger."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from raqib.errors import RaqibError, UsageError
from raqib.ledger.chain import Entry
from raqib.ledger.reading import about_event
from raqib.model.event import Event
from raqib.model.uuids import is_named_by
from raqib.offline.printed import Printed, printed_of
from raqib.printers.varlog import older_file

MAX_LINE_BYTES: Final = 32 << 20
SHORTEST_PREFIX: Final = 8
_MOST_NAMED = 5
AFTERWARDS: Final = ("outcome", "attenuation")
"""Types of events that have the identity of the one that they are about."""

_UUID = re.compile(r"[0-9a-f]{8}[0-9a-f-]{0,28}", re.IGNORECASE)


def logs_of(path: Path, keep: int) -> list[Path]:
    """Return an event log and its older files, the oldest first."""
    return [*(older_file(path, number) for number in range(keep, 0, -1)), path]


def is_identity(text: str) -> bool:
    """Tell whether a text may be an event's identity, its first characters, or its short form."""
    return _UUID.fullmatch(text) is not None


def find_events(files: Sequence[Path], uuid: str) -> list[Printed]:
    """Return the events of an identity in logs, the first written first; outcomes carry the same one.

    The first 8 characters will do, or the short form that people are shown, if no other identity is named so.

    Raises UsageError if it is too short, or several are named so; RaqibError if a log is there but cannot be read.
    """
    uuid = uuid.lower()
    if len(uuid) < SHORTEST_PREFIX:
        raise UsageError(
            f"expected a UUID, its last group, or at least its first {SHORTEST_PREFIX} characters, found {uuid!r}"
        )
    found: dict[str, list[Printed]] = {}
    for path in files:
        for line in _lines(path, uuid):
            printed = printed_of(line)
            if printed is not None and is_named_by(printed.event.uuid, uuid):
                found.setdefault(printed.event.uuid, []).append(printed)
                if len(found) > _MOST_NAMED:
                    break
    if uuid in found or len(found) <= 1:
        return found.get(uuid) or [event for events in found.values() for event in events]
    named = ", ".join([*found][:_MOST_NAMED]) + (", …" if len(found) > _MOST_NAMED else "")
    raise UsageError(f"expected one event that is named by {uuid}, found several: {named}")


def find_detection(files: Sequence[Path], uuid: str) -> Printed | None:
    """Return the event of an identity, not what came of it; the whole form where there are both. Raises as above."""
    events = [event for event in find_events(files, uuid) if event.event.event_type not in AFTERWARDS]
    return next((event for event in events if event.cut is None), events[0] if events else None)


def events_of(files: Sequence[Path], recipe: str, since: str) -> Iterator[Event]:
    """Yield what logs have of a recipe since a time (RFC 3339), oldest first. Raises RaqibError as above."""
    named = msgspec.json.encode(recipe).decode()
    for path in files:
        for line in _lines(path, named):
            printed = printed_of(line)
            if printed is not None and printed.event.metadata.name == recipe and printed.event.timestamp >= since:
                yield printed.event


def ledger_entries(path: Path, uuid: str) -> list[Entry]:
    """Return what the ledger, its older files too, has about an event. Raises RaqibError if it cannot be read."""
    try:
        return about_event(path, uuid)
    except OSError as error:
        raise RaqibError(f"{path}: expected a ledger that can be read: {error.strerror or error}") from error


def _lines(path: Path, uuid: str) -> Iterator[bytes]:
    """Yield the lines in which the identity occurs; none if there is no such file."""
    wanted = uuid.encode()
    try:
        with path.open("rb") as file:
            while line := file.readline(MAX_LINE_BYTES):
                if wanted in line:
                    yield line
    except FileNotFoundError:
        return
    except OSError as error:
        raise RaqibError(f"{path}: expected a file that can be read: {error.strerror or error}") from error
