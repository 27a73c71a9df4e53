"""Tries one reaction against one event: dry, in a real worker."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from raqib.errors import UsageError
from raqib.model.clock import boot_offset_ns, boottime_ns
from raqib.model.detection import Detection
from raqib.model.event import Event, ProcessInfo
from raqib.model.process import Image, Process, ProcessKey
from raqib.model.recipe import RecipeInfo
from raqib.reactions import Finished, HelperCall, LogLine, Reactions, ReactionsConfig

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Memory(msgspec.Struct, frozen=True):
    """Of the worker, in bytes; None if the kernel does not tell."""

    before: int | None
    peak: int | None


class Trial(msgspec.Struct, frozen=True):
    """How it went."""

    finished: Finished
    duration_us: int | None
    """From the hand-over to a warm worker to the end; None if it did not come to that."""
    memory: Memory


def event_of(path: Path) -> tuple[Event, bytes]:
    """Read an event, as it was printed: the first line, or the whole file. Return it and the JSON for the reaction.

    Raises UsageError.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: expected a file with an event: {error.strerror}") from error
    problem: Exception | None = None
    for text in (raw, raw.strip().partition(b"\n")[0]):
        try:
            members = _OBJECT.decode(text)
            members.pop("base", None)
            data = msgspec.json.encode(members)
            return msgspec.json.decode(data, type=Event), data
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            problem = problem or error
    raise UsageError(f"{path}: expected an event as raqib prints it (JSON): {problem}")


def detection_of(recipe: RecipeInfo, event: Event, data: bytes) -> Detection:
    """Return a detection of that recipe with that event; its processes are those that the event names."""
    listed = event.background.ancestry if event.background is not None else msgspec.UNSET
    infos = [] if listed is msgspec.UNSET else list(listed)
    if not infos and event.process is not None:
        infos = [event.process]
    return Detection(
        recipe=recipe,
        event=event,
        data_json=data,
        ancestry=tuple(process for info in infos if (process := _process(info)) is not None),
        timestamp_ns=_boottime(event.timestamp) or boottime_ns(),
    )


async def try_reaction(
    detection: Detection, on_log: Callable[[LogLine], None], on_call: Callable[[HelperCall], None], **settings: Any
) -> list[Trial]:
    """Run the reactions of a detection's recipe dry, with an empty data store, and return how they went.

    `settings` are those of `ReactionsConfig`. Raises NotPermittedError if no sandboxed worker comes up.
    """
    trials: list[Trial] = []
    before: dict[int, int | None] = {}

    def finished(one: Finished) -> None:
        timings = one.timings
        duration = None if timings.started_ns is None else ((timings.ended_ns or 0) - timings.started_ns) // 1000
        pid = one.worker_pid or 0
        # The kernel counts both roughly, and each in a way of its own.
        first, peak = before.get(pid), _memory(pid, "VmHWM")
        trials.append(Trial(one, duration, Memory(first, None if peak is None else max(peak, first or 0))))

    with TemporaryDirectory(prefix="raqib-trial-") as directory:
        config = ReactionsConfig(data_dir=Path(directory), workers=1, dry_run=True, **settings)
        reactions = Reactions(config, on_log=on_log, on_finished=finished, on_call=on_call)
        await reactions.start()
        try:
            await reactions.wait_ready(2)
            before.update((pid, _memory(pid, "VmRSS")) for pid in reactions.worker_pids)
            reactions.submit(detection)
            await reactions.drain()
        finally:
            await reactions.close()
    return trials


def _process(info: ProcessInfo) -> Process | None:
    if not isinstance(info.pid, int):
        return None
    return Process(
        key=ProcessKey(info.pid, (_boottime(info.start) or 0) if info.start else 0),
        ppid=info.ppid if isinstance(info.ppid, int) else 0,
        uid=info.uid if isinstance(info.uid, int) else 0,
        comm=(info.comm or "").encode(),
        image=Image(exe=(info.exe or "").encode()),
    )


def _boottime(text: str) -> int | None:
    """Return a time of the calendar as nanoseconds of CLOCK_BOOTTIME of this host; None if it is before its start."""
    seconds, _, fraction = text.rstrip("Z").partition(".")
    try:
        moment = datetime.fromisoformat(seconds + "+00:00")
        since_epoch = int(moment.timestamp()) * 10**9 + int((fraction or "0").ljust(9, "0")[:9])
    except ValueError:
        return None
    found = since_epoch - boot_offset_ns()
    return found if found > 0 else None


def _memory(pid: int, what: str) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:")), None)
