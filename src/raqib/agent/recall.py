"""Back from what was printed to what was observed, so that it can be looked at again."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import UNSET

from raqib.actions.ledger import Entry
from raqib.agent.recall_flow import flow_of
from raqib.agent.recording import Recorded
from raqib.errors import RaqibError, UsageError
from raqib.matcher.trial import sample
from raqib.model.actions import ACTION_NAMES, FileAction, union
from raqib.model.clock import boot_offset_ns
from raqib.model.event import Event, FileInfo, ProcessInfo
from raqib.model.flow import FlowObservation
from raqib.model.observation import FileObservation
from raqib.model.process import Image, Namespaces, Process, ProcessKey
from raqib.recipes.check_tests import read_sample
from raqib.recipes.spec import RecipeSpec, RecipeTest

MAX_LINE_BYTES: Final = 32 << 20

_Object = dict[str, msgspec.Raw]
_OBJECT = msgspec.json.Decoder(_Object)


def observation_of(event: Event) -> Recorded:
    """Return the observation that an event tells of, as far as it does.

    Raises UsageError if the event is not about a file, a program or a flow.
    """
    if event.process is None or (event.file is None and event.flow is None):
        raise UsageError(f"expected an event about a process and a file or flow, found one of type {event.event_type}")
    listed = event.background.ancestry if event.background is not None else UNSET
    chain = [_process(one) for one in ([] if isinstance(listed, msgspec.UnsetType) else listed)]
    process = _process(event.process)
    # The process itself comes last, pid 1 first.
    ancestors = tuple(reversed(chain[:-1]))
    if ancestors:
        process = msgspec.structs.replace(process, parent=ancestors[0].key)
    seen: FileObservation | FlowObservation
    if event.flow is not None:
        seen = flow_of(event.flow, process, _boottime_ns(event.timestamp))
    else:
        seen = _observation(event, event.file or FileInfo(), process)
    return Recorded(seen, ancestors)


def read_event(path: Path, recipe: RecipeSpec) -> Recorded:
    """Read an event from a file: one as raqib prints it, or a sample as in the `tests` of recipes.

    Raises UsageError.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: expected a file with an event: {error.strerror or error}") from error
    for text in (raw, raw.strip().partition(b"\n")[0]):
        event = _event(text)
        if event is not None:
            return observation_of(event)
    sample_event, diagnostics = read_sample(raw, str(path))
    if sample_event is None:
        told = "".join(f"\n{one}" for one in diagnostics)
        raise UsageError(f"{path}: expected an event as raqib prints it, or a sample event as in tests{told}")
    seen, ancestors = sample(recipe, RecipeTest(name="", event=sample_event, match=True))
    return Recorded(seen, tuple(ancestors))


def find_events(files: Sequence[Path], uuid: str) -> list[Event]:
    """Return the events of that identity in logs, the first written first; outcomes carry the same one.

    Raises RaqibError if a log is there but cannot be read.
    """
    found = []
    for path in files:
        for line in _lines(path, uuid):
            event = _event(line)
            if event is not None and event.uuid == uuid:
                found.append(event)
    return found


def ledger_entries(path: Path, uuid: str) -> list[Entry]:
    """Return what the ledger has about an event. Raises RaqibError if it is there but cannot be read."""
    found = []
    for line in _lines(path, uuid):
        try:
            entry = msgspec.json.decode(line, type=Entry)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        if entry.uuid == uuid:
            found.append(entry)
    return found


def logs_of(path: Path, keep: int) -> list[Path]:
    """Return an event log and its older parts, the oldest first."""
    return [*(path.with_name(f"{path.name}.{number}") for number in range(keep, 0, -1)), path]


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


def _event(text: bytes) -> Event | None:
    try:
        members: _Object = _OBJECT.decode(text)
        # The alias says the same again.
        members.pop("base", None)
        return msgspec.json.decode(msgspec.json.encode(members), type=Event)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _observation(event: Event, file: FileInfo, process: Process) -> FileObservation:
    actions = union(ACTION_NAMES[name] for name in _or(file.actions, ()) if name in ACTION_NAMES)
    if not actions:
        actions = FileAction(0)
    return FileObservation(
        process=process,
        path=_bytes(file.path or file.file, file.path_b64),
        actions=actions,
        new=actions,
        timestamp_ns=_boottime_ns(event.timestamp),
        aliases=tuple(alias.encode() for alias in file.aliases),
        as_given=file.as_given,
        deleted=file.deleted,
    )


def _process(info: ProcessInfo) -> Process:
    args = [text.encode() for text in _or(info.args, ())]
    for index, encoded in enumerate(info.args_b64 or ()):
        if index < len(args):
            args[index] = _bytes(None, encoded) or args[index]
    status = _or(info.retcode, None)
    previous = None
    if info.prev_exe:
        previous = Image(info.prev_exe.encode(), tuple(text.encode() for text in _or(info.prev_args, ())))
    spaces = info.namespaces
    names = Namespaces() if spaces is None else _namespaces(spaces)
    return Process(
        key=ProcessKey(_or(info.pid, 0), _boottime_ns(info.start) if info.start else 0),
        ppid=_or(info.ppid, 0),
        uid=_or(info.uid, 0),
        comm=_bytes(info.comm, info.comm_b64),
        image=Image(exe=_bytes(info.exe, info.exe_b64), args=tuple(args), loader=(info.loader or "").encode()),
        previous=previous,
        namespaces=names,
        exit_ns=_boottime_ns(info.exit) if info.exit else None,
        exit_status=None if status is None else (status << 8 if status >= 0 else -status),
        envs=tuple(text.encode() for text in _or(info.envs, ())),
    )


def _namespaces(spaces: msgspec.Struct) -> Namespaces:
    return Namespaces(**{name: getattr(spaces, name, None) or 0 for name in Namespaces.__struct_fields__})


def _or(value: Any, otherwise: Any) -> Any:
    return otherwise if value is UNSET or value is None else value


def _bytes(text: str | None, exact: str | None) -> bytes:
    """Return what the event tells exactly, where its text is not the whole truth."""
    try:
        return base64.b64decode(exact, validate=True) if exact else (text or "").encode()
    except binascii.Error:
        return (text or "").encode()


def _boottime_ns(text: str) -> int:
    """Return a time of the calendar on this host's CLOCK_BOOTTIME, in nanoseconds; 0 if it is none."""
    seconds, _, fraction = text.rstrip("Z").partition(".")
    try:
        whole = int(datetime.fromisoformat(f"{seconds}+00:00").timestamp())
        return whole * 10**9 + int((fraction or "0").ljust(9, "0")[:9]) - boot_offset_ns()
    except ValueError:
        return 0
