"""From a match to the event that printers write and reactions get."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import UNSET

from raqib.events.describe import file_info
from raqib.events.flows import flow_info
from raqib.events.host_facts import habitat, scenarios
from raqib.events.surroundings import NOTHING, Surroundings
from raqib.model.actions import FileAction
from raqib.model.clock import rfc3339_of_boot
from raqib.model.detection import Detection
from raqib.model.event import (
    Attack,
    Event,
    EventType,
    Loss,
    Metadata,
    Score,
    encode,
)
from raqib.model.flow import FlowObservation
from raqib.model.in_flight import Cost
from raqib.model.observation import FileObservation
from raqib.model.process import Process
from raqib.model.recipe import Importance, RecipeInfo

SEVERITY: dict[Importance, int] = {"none": 0, "low": 25, "medium": 50, "high": 75, "critical": 95}
_CONFIDENCE = 0.8
_EVENT_TYPES: dict[str, EventType] = {
    "execution": "execution",
    "env_vars": "env_vars",
    "network_peers": "network_peer",
}


def uuid7() -> str:
    """Return a new UUID of version 7 (RFC 9562): milliseconds since the epoch, then chance."""
    bits = time.time_ns() // 10**6 << 80 | int.from_bytes(os.urandom(10), "big")
    bits = bits & ~(0xF << 76) | 7 << 76
    bits = bits & ~(3 << 62) | 2 << 62
    return str(uuid.UUID(int=bits))


def metadata(recipe: RecipeInfo, event_type: EventType) -> Metadata:
    """Return what a recipe says of itself."""
    attack = Attack(tactic=recipe.tactic_id, technique=recipe.technique_id, subtechnique=recipe.subtechnique_id)
    return Metadata(
        kind=recipe.kind,
        name=recipe.name,
        format=event_type,
        version=recipe.version or None,
        description=recipe.description or None,
        tactic=recipe.tactic or None,
        technique=recipe.technique or None,
        subtechnique=recipe.subtechnique or None,
        importance=recipe.importance,
        documentation=recipe.documentation or None,
        attack=attack if any(msgspec.structs.astuple(attack)) else None,
    )


def score(recipe: RecipeInfo) -> Score:
    """Return what is known of severity before anybody has looked closer: the recipe's importance."""
    severity = SEVERITY[recipe.importance]
    return Score(
        severity=severity,
        severity_level=recipe.importance,
        confidence=_CONFIDENCE,
        risk_score=round(severity * _CONFIDENCE, 1),
        reasons=[f"importance of the recipe is {recipe.importance}"],
    )


def detect(
    recipe: RecipeInfo,
    seen: FileObservation | FlowObservation,
    ancestors: Sequence[Process],
    accessed: Sequence[tuple[bytes, FileAction]],
    note: str,
    flows: Sequence[FlowObservation] = (),
    *,
    by_hearsay: bool = False,
) -> Detection:
    """Build the detection of a recipe.

    `ancestors` are nearest first, without the process; `accessed` and `flows` are what the process did to which files
    and whom it talked to; `by_hearsay` is the match's.
    """
    around = Surroundings(seen.process, ancestors, accessed, flows)
    return detect_within(recipe, seen, around, note, by_hearsay=by_hearsay)


def detect_within(
    recipe: RecipeInfo,
    seen: FileObservation | FlowObservation,
    surroundings: Surroundings,
    note: str,
    *,
    by_hearsay: bool = False,
) -> Detection:
    """Build the detection of a recipe with surroundings that others may have as well."""
    event_type = _EVENT_TYPES.get(recipe.mechanism, "file_access")
    around = surroundings.around(seen if isinstance(seen, FlowObservation) else None)
    event = _event(recipe, event_type, seen, surroundings, (note, *around.notes))
    return Detection(
        recipe=recipe,
        event=msgspec.structs.replace(event, background=around.background),
        head_json=encode(event)[:-1],
        shared_json=around.json,
        shared=around.cost,
        ancestry=surroundings.ancestry,
        timestamp_ns=seen.timestamp_ns,
        by_hearsay=by_hearsay,
    )


def without_surroundings(detection: Detection) -> Detection:
    """Return a detection without its background, of which an empty form is left, and with a note that says so."""
    whole = detection.event
    if detection.shared_json == NOTHING:
        return detection
    note = "; ".join(filter(None, (whole.note, "the background is left out: too much is waiting")))
    event = msgspec.structs.replace(whole, background=None, note=note)
    return msgspec.structs.replace(
        detection, event=event, head_json=encode(event)[:-1], shared_json=NOTHING, shared=Cost(0)
    )


def flow_event(seen: FlowObservation, ancestors: Sequence[Process]) -> Event:
    """Build the event that tells of a flow, whether a recipe is about it or not."""
    recipe = RecipeInfo(kind="flow", name="flow", mechanism="flow", importance="none")
    return _flow_event(recipe, "flow", seen, ancestors, "")


def drop_event(
    kind: Literal["dropip", "dropdomain"],
    seen: FlowObservation,
    ancestors: Sequence[Process],
    *,
    rule: str,
    count: int,
    enforced: bool,
    names: Sequence[str] = (),
    shared_with: Sequence[str] = (),
) -> Event:
    """Build the event that tells of packets or questions that a network policy denies.

    `seen` is the flow that they belong to; `names` are those of the address, or the one asked for; `shared_with` are
    names that the address serves as well and that are not denied.
    """
    recipe = RecipeInfo(kind="network_policy", name=kind, mechanism="network_policy", importance="medium")
    event = _flow_event(recipe, kind, seen, ancestors, "" if enforced else "reported only, not dropped")
    event.rule, event.count = rule, count
    event.names, event.shared_with = [*names], [*shared_with]
    return event


def _event(
    recipe: RecipeInfo,
    event_type: EventType,
    seen: FileObservation | FlowObservation,
    surroundings: Surroundings,
    said: Sequence[str],
) -> Event:
    """Return the event without its background."""
    notes = [note for note in said if note]
    file = flow = None
    if isinstance(seen, FlowObservation):
        flow = flow_info(seen)
    else:
        file = file_info(seen)
        if seen.as_given:
            notes.append("the path is as the program named it: where it led could not be told")
    if seen.process.image.args_truncated:
        notes.append("the arguments are cut")
    return Event(
        uuid=uuid7(),
        timestamp=rfc3339_of_boot(seen.timestamp_ns),
        event_type=event_type,
        note="; ".join(notes) or None,
        metadata=metadata(recipe, event_type),
        score=score(recipe),
        process=surroundings.described[-1],
        file=file,
        flow=flow,
        habitat=habitat(),
        scenarios=scenarios(),
        loss=Loss(lost=seen.lost or UNSET) if seen.lost else None,
    )


def _flow_event(
    recipe: RecipeInfo, event_type: EventType, seen: FlowObservation, ancestors: Sequence[Process], note: str
) -> Event:
    surroundings = Surroundings(seen.process, ancestors, (), (seen,))
    event = _event(recipe, event_type, seen, surroundings, (note,))
    event.background = surroundings.around(seen).background
    return event
