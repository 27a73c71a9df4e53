"""What comes of a reaction: its calls, its log, its end."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from raqib.model.detection import Detection

Decision = Literal["done", "refused", "would", "error"]
"""What became of an action: `would` in a dry run, `error` where it was tried and failed."""

Budget = Literal["kills", "blocks", "evidence", "written_bytes", "ledger_bytes", "own_doing", "notices"]
"""`evidence` counts collections; `written_bytes` is what helpers write to files, evidence included;
`ledger_bytes` is what is in the ledger beside the lines themselves;
`own_doing` counts executions that were caused by shell reactions."""

LogLevel = Literal["info", "warn", "error"]

Outcome = Literal["ok", "error", "timeout", "out_of_memory", "crashed", "dropped", "refused"]


class ActionRecord(msgspec.Struct, frozen=True):
    """What became of one call."""

    action: str
    decision: Decision
    value: Any
    """What the helper returned; None stands for its error value."""
    reason: str
    ended_ns: int
    """CLOCK_BOOTTIME."""
    target: str = ""
    """What it was done to, in a few words."""

    @property
    def succeeded(self) -> bool:
        """Whether the helper returned a value of its own, not its error value."""
        return self.decision in ("done", "would")


class HelperCall(msgspec.Struct, frozen=True):
    """One call of a helper, as it is over."""

    reaction: int
    arguments: str
    """As the reaction gave them: a JSON array, if it keeps to the protocol."""
    record: ActionRecord


class LogLine(msgspec.Struct, frozen=True):
    """A line for the daemon's log, from a reaction or about one."""

    level: LogLevel
    text: str
    """Control characters are escaped."""
    kind: str
    name: str
    uuid: str
    reaction: int


class Notice(msgspec.Struct, frozen=True):
    """An event of its own, to be printed like all others."""

    detection: Detection
    """What the reaction reacts to."""
    reaction: int
    title: str
    fields: dict[str, Any]


class BreakerOpened(msgspec.Struct, frozen=True):
    """A recipe wanted more than its budget. Nothing is said again before it was within the budget once more."""

    kind: str
    recipe: str
    importance: str
    budget: Budget
    limit: int
    """A minute."""
    uuid: str
    """Of the event whose reaction wanted it."""


class Timings(msgspec.Struct, frozen=True):
    """When what happened, in nanoseconds of CLOCK_BOOTTIME; None where it did not."""

    queued_ns: int
    started_ns: int | None = None
    """The code was handed to a worker."""
    first_action_ns: int | None = None
    """The first helper call had been performed."""
    ended_ns: int | None = None
    seen_ns: int | None = None
    """The kernel saw what was detected."""


class Finished(msgspec.Struct, frozen=True):
    """One execution of one reaction is over."""

    uuid: str
    """The event's."""
    kind: str
    recipe: str
    reaction: int
    outcome: Outcome
    error: str
    """Names recipe, reaction, and line and column where there are any; empty if the outcome is `ok`."""
    timings: Timings
    actions: tuple[ActionRecord, ...]
    worker_pid: int | None = None
    """The process that ran it, if it came to that."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain
