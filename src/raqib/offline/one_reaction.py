"""Tries the reactions of one event: dry, in a real worker, with everything that can be seen of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from raqib.model.clock import boottime_ns
from raqib.model.detection import Detection
from raqib.model.execution import Finished, HelperCall, LogLine
from raqib.model.recipe import RecipeInfo
from raqib.offline.dry_run import DryRun
from raqib.offline.printed import Printed
from raqib.offline.printed_process import boottime_of, processes_of


class Memory(msgspec.Struct, frozen=True):
    """The memory of a worker, in bytes; None if the kernel does not tell."""

    before: int | None
    peak: int | None


class TriedReaction(msgspec.Struct, frozen=True):
    """What one reaction did, how long it took and what memory it needed."""

    finished: Finished
    duration_us: int | None
    """From the hand-over to a warm worker to the end; None if it did not come to that."""
    memory: Memory


def detection_of(recipe: RecipeInfo, printed: Printed) -> Detection:
    """Return a detection of that recipe with that event; its processes are those that the event names."""
    event = printed.event
    return Detection(
        recipe=recipe,
        event=event,
        head_json=printed.data_json,
        ancestry=tuple(process for process in processes_of(event) if process.pid),
        timestamp_ns=boottime_of(event.timestamp) or boottime_ns(),
    )


async def try_reactions(
    detection: Detection,
    make: Callable[..., DryRun],
    on_log: Callable[[LogLine], None],
    on_call: Callable[[HelperCall], None],
) -> list[TriedReaction]:
    """Run the reactions of a detection's recipe dry, with an empty data store, and return how they went.

    `make` makes the dry run, which gets the hooks. Raises NotPermittedError if no sandboxed worker comes up.
    """
    tried: list[TriedReaction] = []
    before: dict[int, int | None] = {}

    def finished(execution: Finished) -> None:
        timings = execution.timings
        duration = None if timings.started_ns is None else ((timings.ended_ns or 0) - timings.started_ns) // 1000
        pid = execution.worker_pid or 0
        # The kernel counts both roughly, and each in a way of its own.
        first, peak = before.get(pid), _memory(pid, "VmHWM")
        tried.append(TriedReaction(execution, duration, Memory(first, None if peak is None else max(peak, first or 0))))

    async with make(on_log=on_log, on_call=on_call, on_finished=finished) as dry_run:
        before.update((pid, _memory(pid, "VmRSS")) for pid in await dry_run.warm_workers())
        await dry_run.react(detection)
    return tried


def _memory(pid: int, what: str) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:")), None)
