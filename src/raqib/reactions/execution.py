"""One execution of one reaction, from the queue to its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from raqib.actions.context import ActionContext
from raqib.model.clock import boottime_ns
from raqib.model.detection import Detection, weight
from raqib.model.execution import ActionRecord, Finished, LogLevel, LogLine, Outcome, Timings
from raqib.model.in_flight import Hold
from raqib.model.recipe import Importance, Reaction

if TYPE_CHECKING:
    from raqib.reactions.process import WorkerProcess


_LONGEST_VALUE = 256
_OWN_BYTES = 4096
"""What an execution takes beside the event's JSON."""


class Execution:
    """What is known of it while it waits and runs."""

    def __init__(self, context: ActionContext, timeout_s: float, heap_bytes: int, hold: Hold | None = None) -> None:
        self.context = context
        self.hold = hold
        """Its part in what is in flight, which ends with it."""
        detection = context.detection
        self.size = _OWN_BYTES + len(detection.head_json) + sum(map(weight, detection.ancestry))
        """What it takes while it waits, in bytes, beside the background that it shares."""
        self.timeout_s = timeout_s
        self.heap_bytes = heap_bytes
        self.queued_ns = boottime_ns()
        self.released = False
        """Whether it may run, once a worker has prepared it."""
        self.started_ns: int | None = None
        self.tried = 0
        """How many workers were lost with it, before it had done anything."""
        self.worker: WorkerProcess | None = None
        self.deadline: asyncio.TimerHandle | None = None
        self.call: asyncio.Task[None] | None = None
        """The helper call that is being performed."""
        self.calls = 0
        self.log_bytes = 0
        self.log_full = False
        self.refusals: set[str] = set()
        """Why calls were refused, as far as it has been logged."""
        self.records: list[ActionRecord] = []

    @property
    def detection(self) -> Detection:
        """What it reacts to."""
        return self.context.detection

    @property
    def reaction(self) -> Reaction:
        """The code to run."""
        return self.detection.recipe.reactions[self.context.reaction]

    @property
    def importance(self) -> Importance:
        """The recipe's importance."""
        return self.detection.recipe.importance

    @property
    def recipe(self) -> str:
        """The recipe's name."""
        return self.detection.recipe.name

    @property
    def details(self) -> dict[str, Any]:
        """What the ledger says of it beside its result."""
        return {"format": "shell"} if self.reaction.format == "shell" else {}

    def begin_anew(self, *, killed: bool, most: int) -> bool:
        """Be as if no worker had got it, if that is true to the host; False if it is not, or if `most` are lost.

        `killed`: its worker was ended by somebody else, which is not its own doing.
        """
        untouched = self.started_ns is None or (killed and not self.calls and not self.log_bytes)
        self.tried += 1
        if not untouched or self.tried >= most:
            return False
        if self.deadline is not None:
            self.deadline.cancel()
        self.worker = self.deadline = self.started_ns = None
        return True

    def keep(self, record: ActionRecord) -> None:
        """Note what became of a call; contents that it returned are not kept."""
        if isinstance(record.value, str) and len(record.value) > _LONGEST_VALUE:
            record = msgspec.structs.replace(record, value=f"{len(record.value)} characters")
        self.records.append(record)

    def line(self, level: LogLevel, text: str) -> LogLine:
        """Return a line for the log that names this execution."""
        recipe = self.detection.recipe
        return LogLine(level, text, recipe.kind, recipe.name, self.detection.event.uuid, self.context.reaction)

    def place(self, line: int = 0, column: int = 0) -> str:
        """Say where in which recipe."""
        recipe = self.detection.recipe
        where = f"recipe {recipe.name!r} of kind {recipe.kind!r}, reaction {self.context.reaction}"
        return f"{where}, line {line}, column {column}" if line else where

    def finished(self, outcome: Outcome, error: str) -> Finished:
        """Return the result."""
        recipe = self.detection.recipe
        first = self.records[0].ended_ns if self.records else None
        timings = Timings(self.queued_ns, self.started_ns, first, boottime_ns(), self.detection.timestamp_ns)
        return Finished(
            uuid=self.detection.event.uuid,
            kind=recipe.kind,
            recipe=recipe.name,
            reaction=self.context.reaction,
            outcome=outcome,
            error=error,
            timings=timings,
            actions=tuple(self.records),
            worker_pid=self.worker.pid if self.worker is not None else None,
        )
