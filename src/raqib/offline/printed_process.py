"""Back from the processes and files of a printed event to what was observed, so that it can be looked at again."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from raqib.errors import UsageError
from raqib.model.actions import ACTION_NAMES, NO_ACTIONS, FileAction, union
from raqib.model.clock import boot_offset_ns
from raqib.model.event import Event, FileInfo, ListedFile, ProcessInfo
from raqib.model.flow import FlowObservation
from raqib.model.observation import FileObservation
from raqib.model.process import Image, Namespaces, Process, ProcessKey
from raqib.offline.printed_flow import flow_of
from raqib.offline.recording import Recorded

_Value = TypeVar("_Value")


def observation_of(event: Event) -> Recorded:
    """Return the observation that an event tells of, as far as it does.

    Raises UsageError if the event is not about a file, a program or a flow.
    """
    if event.process is None or (event.file is None and event.flow is None):
        raise UsageError(f"expected an event about a process and a file or flow, found one of type {event.event_type}")
    *ancestors, process = processes_of(event)
    seen: FileObservation | FlowObservation
    if event.flow is not None:
        seen = flow_of(event.flow, process, boottime_of(event.timestamp))
    else:
        seen = _observation(event, event.file or FileInfo(), process)
    return Recorded(seen, tuple(reversed(ancestors)))


def processes_of(event: Event) -> tuple[Process, ...]:
    """Return the processes of an event, pid 1 first, the process itself last; none if the event has no process."""
    listed = event.background.ancestry if event.background is not None else UNSET
    infos = [] if isinstance(listed, UnsetType) else list(listed[:-1])
    if event.process is not None:
        infos.append(event.process)
    found: list[Process] = []
    for info in infos:
        process = _process(info)
        found.append(replace(process, parent=found[-1].key) if found else process)
    return tuple(found)


def accessed_of(event: Event) -> list[tuple[bytes, FileAction]]:
    """Return what the process did to which files, the newest first."""
    listed: list[ListedFile] = event.background.file_list if event.background is not None else []
    return [(exact_bytes(file.path, file.path_b64), _actions(file.actions)) for file in listed]


def flows_of(event: Event) -> list[FlowObservation]:
    """Return the flows of the process, the newest first."""
    if event.background is None or event.process is None:
        return []
    process = processes_of(event)[-1]
    return [flow_of(flow, process, boottime_of(event.timestamp)) for flow in event.background.flow_list]


def boottime_of(text: str) -> int:
    """Return a time of the calendar on this host's CLOCK_BOOTTIME, in nanoseconds; 0 if it is none."""
    seconds, _, fraction = text.rstrip("Z").partition(".")
    try:
        whole = int(datetime.fromisoformat(f"{seconds}+00:00").timestamp())
        return whole * 10**9 + int((fraction or "0").ljust(9, "0")[:9]) - boot_offset_ns()
    except ValueError:
        return 0


def exact_bytes(text: str | None, exact: str | None) -> bytes:
    """Return what an event tells exactly, where its text is not the whole truth."""
    try:
        return base64.b64decode(exact, validate=True) if exact else (text or "").encode()
    except binascii.Error:
        return (text or "").encode()


def _observation(event: Event, file: FileInfo, process: Process) -> FileObservation:
    actions = _actions(_known(file.actions, []))
    return FileObservation(
        process=process,
        path=exact_bytes(file.path or file.file, file.path_b64),
        actions=actions,
        new=actions,
        timestamp_ns=boottime_of(event.timestamp),
        aliases=_all_bytes(file.aliases, file.aliases_b64),
        host_path=exact_bytes(file.host_path, file.host_path_b64),
        as_given=file.as_given,
        deleted=file.deleted,
    )


def _actions(names: Sequence[str]) -> FileAction:
    return union(ACTION_NAMES[name] for name in names if name in ACTION_NAMES) if names else NO_ACTIONS


def _process(info: ProcessInfo) -> Process:
    status = _known(info.retcode, None)
    previous = None
    if info.prev_exe:
        previous = Image(
            exact_bytes(info.prev_exe, info.prev_exe_b64),
            _all_bytes(info.prev_args, info.prev_args_b64),
            exact_bytes(info.prev_loader, info.prev_loader_b64),
        )
    return Process(
        key=ProcessKey(_known(info.pid, 0), boottime_of(info.start) if info.start else 0),
        ppid=_known(info.ppid, 0),
        uid=_known(info.uid, 0),
        ns_pid=_known(info.ns_pid, 0),
        comm=exact_bytes(info.comm, info.comm_b64),
        image=Image(
            exe=exact_bytes(info.exe, info.exe_b64),
            args=_all_bytes(_known(info.args, []), info.args_b64),
            loader=exact_bytes(info.loader, info.loader_b64),
        ),
        previous=previous,
        namespaces=_namespaces(info),
        exit_ns=boottime_of(info.exit) if info.exit else None,
        exit_status=None if status is None else (status << 8 if status >= 0 else -status),
        envs=_all_bytes(info.envs, info.envs_b64),
    )


def _namespaces(info: ProcessInfo) -> Namespaces:
    known = info.namespaces
    if known is None:
        return Namespaces()
    return Namespaces(**{name: getattr(known, name, None) or 0 for name in Namespaces.__struct_fields__})


def _all_bytes(texts: Sequence[str], exact: Sequence[str] | None) -> tuple[bytes, ...]:
    found = [text.encode() for text in texts]
    for at, encoded in enumerate((exact or ())[: len(found)]):
        # An empty text is exact as it is.
        found[at] = exact_bytes(texts[at], encoded)
    return tuple(found)


def _known(value: _Value | UnsetType | None, otherwise: _Value) -> _Value:
    return otherwise if value is None or isinstance(value, UnsetType) else value
