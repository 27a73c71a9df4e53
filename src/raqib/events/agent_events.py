"""What the agent tells of itself: losses, floods, budgets that are used up, detections that are only counted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from raqib.events.build import metadata, score, uuid7
from raqib.events.describe import process_info
from raqib.host.user_names import user_name
from raqib.model.clock import rfc3339
from raqib.model.event import Event, Metadata
from raqib.model.execution import BreakerOpened
from raqib.model.loss import LossReport
from raqib.model.process import Process
from raqib.model.recipe import RecipeInfo

REACTIONS: Final = "reactions"
PRINTER: Final = "printer_"
"""Begins the kind of a loss that is a printer's; its name follows."""

_DESCRIPTIONS: Final = {
    "records": "what a process did has been lost: it did more than there was room for",
    "names": "names of files could not be read from a process's memory: what it did to them has been lost",
    "unresolved_names": "a process exceeds its budget of unresolved names: what it did to further ones is not told",
    "unfollowed_names": "names could not be followed in time: what was done under them is told by the name as given",
    "cut_names": "long names were no longer whole when they were judged: what was done under them may not be told",
    "environments": "a process kept its environment from being read: recipes that ask for it do not match",
    "network": "records of the network have been lost: the ring buffer was full",
    "flood": "a process makes raqib work far more than all others together",
    REACTIONS: "reactions are dropped: more wait for a worker than there is room for",
}


class LossEvent(msgspec.Struct, frozen=True):
    """What the event of a loss carries in `fields.loss`."""

    kind: str
    """As the kernel side calls it, `flood`, `reactions`, or `printer_` and the printer's name."""
    state: Literal["begins", "ended"]
    count: int
    """So far; at the end: all."""
    duration_s: float
    uid: int | None
    user: str | None


class CountedExample(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of the detections that are only counted."""

    uuid: str
    """Under which the ledger has what was done."""
    timestamp: str
    pid: int | None = None
    uid: int | None = None
    exe: str | None = None
    file: str | None = None


class RepeatedEvent(msgspec.Struct, frozen=True):
    """What an event carries in `fields.repeated`; its `count` is the number."""

    first: str
    last: str
    examples: Sequence[CountedExample]


def loss_event(report: LossReport) -> Event:
    """Return the `agent` event of a loss or flood that begins or has ended."""
    culprit = report.culprit
    uid = culprit.uid if culprit else None
    user = None if uid is None else user_name(uid)
    ended = f"it has ended, {report.count} in {report.duration_s:.0f} s: " if report.state == "ended" else ""
    carried = LossEvent(report.kind, report.state, report.count, round(report.duration_s, 3), uid, user)
    return _agent_event(
        Metadata(kind="agent", name=f"loss_{report.kind}", format="agent", importance="high"),
        ended + _description(report.kind),
        culprit.process if culprit else None,
        loss=carried,
    )


def _description(kind: str) -> str:
    if kind.startswith(PRINTER):
        return f"the printer {kind.removeprefix(PRINTER)!r} loses events: more wait for it than there is room for"
    return _DESCRIPTIONS.get(kind, f"{kind} have been lost")


def breaker_event(opened: BreakerOpened) -> Event:
    """Return the `agent` event of a budget that is used up."""
    return _agent_event(
        Metadata(kind=opened.kind, name=opened.recipe, format="agent", importance=opened.importance),
        f"the budget of {opened.limit} {opened.budget} a minute is used up; further ones are refused",
        breaker=opened,
    )


def repeated_event(recipe: RecipeInfo, count: int, carried: RepeatedEvent, why: str) -> Event:
    """Return the event of detections of a recipe that are counted only, and why."""
    note = f"{count} more from {carried.first} to {carried.last} were not printed, only counted: {why}"
    return Event(
        uuid=uuid7(),
        timestamp=rfc3339(time.time_ns()),
        event_type="repeated",
        metadata=metadata(recipe, "repeated"),
        score=score(recipe),
        note=note,
        count=count,
        fields={"repeated": msgspec.Raw(msgspec.json.encode(carried))},
    )


def exception_ended_event(recipe: str, note: str) -> Event:
    """Return the `agent` event of an exception for a recipe that has ended."""
    return _agent_event(Metadata(kind="exception", name=recipe, format="agent", importance="low"), note)


def _agent_event(
    about: Metadata, note: str, process: Process | None = None, **fields: LossEvent | BreakerOpened
) -> Event:
    return Event(
        uuid=uuid7(),
        timestamp=rfc3339(time.time_ns()),
        event_type="agent",
        metadata=about,
        note=note,
        process=process_info(process) if process else None,
        fields={name: msgspec.Raw(msgspec.json.encode(carried)) for name, carried in fields.items()},
    )
