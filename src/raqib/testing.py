"""Factories for tests: a process from a live pid, an event, a detection."""

from __future__ import annotations

import os
import uuid as uuids
from collections.abc import Sequence
from pathlib import Path

from raqib.host.procfs import TICK_NS
from raqib.model.clock import boottime_ns
from raqib.model.detection import Detection
from raqib.model.event import Event, Metadata, ProcessInfo, encode
from raqib.model.process import Image, Process, ProcessKey
from raqib.model.recipe import Limits, Mode, Reaction, RecipeInfo


def live_process(pid: int) -> Process:
    """Return a running process as procfs shows it; its start time has procfs' resolution of a tick.

    Raises FileNotFoundError if there is no such process.
    """
    root = Path(f"/proc/{pid}")
    fields = (root / "stat").read_bytes().rpartition(b") ")[2].split()
    try:
        exe = os.fsencode((root / "exe").readlink())
    except OSError:
        exe = b""
    arguments = tuple((root / "cmdline").read_bytes().split(b"\0")[:-1])
    status = (root / "stat").stat()
    return Process(
        key=ProcessKey(pid, int(fields[19]) * TICK_NS),
        ppid=int(fields[1]),
        uid=status.st_uid,
        gid=status.st_gid,
        comm=(root / "comm").read_bytes().rstrip(b"\n"),
        image=Image(exe=exe, args=arguments),
    )


def make_recipe(
    *codes: str,
    name: str = "test_recipe",
    mode: Mode = "react",
    limits: Limits | None = None,
    importance: str = "medium",
) -> RecipeInfo:
    """Return a recipe with JavaScript reactions."""
    return RecipeInfo(
        kind="test_kind",
        name=name,
        mechanism="file_access",
        importance=importance,  # type: ignore[arg-type]
        mode=mode,
        limits=limits or Limits(),
        reactions=tuple(Reaction("js", code) for code in codes),
    )


def make_event(recipe: RecipeInfo, process: Process | None = None) -> Event:
    """Return a minimal event of a recipe."""
    metadata = Metadata(kind=recipe.kind, name=recipe.name, format="file_access", importance=recipe.importance)
    info = None
    if process is not None:
        info = ProcessInfo(
            pid=process.pid,
            ppid=process.ppid,
            uid=process.uid,
            comm=process.comm.decode("utf-8", "replace"),
            exe=process.image.exe.decode("utf-8", "replace"),
            args=[argument.decode("utf-8", "replace") for argument in process.image.args],
        )
    return Event(
        uuid=str(uuids.uuid4()),
        timestamp="2026-01-02T03:04:05.000000006Z",
        event_type="file_access",
        metadata=metadata,
        process=info,
    )


def make_detection(
    *codes: str, ancestry: Sequence[Process] = (), recipe: RecipeInfo | None = None, event: Event | None = None
) -> Detection:
    """Return a detection with JavaScript reactions; `ancestry` ends with the process of the event."""
    recipe = recipe or make_recipe(*codes)
    event = event or make_event(recipe, ancestry[-1] if ancestry else None)
    return Detection(
        recipe=recipe,
        event=event,
        head_json=encode(event),
        ancestry=tuple(ancestry),
        timestamp_ns=boottime_ns(),
    )
