"""The compact form of an event: what printers write, unless everything is asked for.

It is the event without the alias `base` and with a `background` of its own: ancestors in few words, one list of files
and one of flows, the newest first, as many as there is room for. `cut` names what was left out. It is there, if need be
empty, in this form alone: that tells it from the other one.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from raqib.model.event import (
    Attenuator,
    EventType,
    FileInfo,
    Flow,
    Habitat,
    Loss,
    Metadata,
    ProcessInfo,
    Score,
)

USUAL_BYTES = 8 << 10
"""An event takes no more, unless the process, its ancestors or the file of the match do."""

MOST_BYTES = 32 << 10
"""No event takes more."""


class _Part(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A part of an event; members left at their default are not written."""


class Cut(_Part):
    """Something that was left out."""

    field: str
    """Where, without numbers of entries; `background.ancestry.*` are the further members of each ancestor."""
    left_out: int
    unit: Literal["bytes", "entries"]
    """Bytes of text, or entries of a list or object."""


class CompactAncestor(_Part):
    """A process in the ancestry."""

    pid: int | UnsetType = UNSET
    comm: str | None = None
    comm_b64: str | None = None
    exe: str | None = None
    exe_b64: str | None = None
    uid: int | UnsetType = UNSET
    start: str | None = None
    cmdline: str | None = None
    """The arguments in one line: of the process and its parent all, of the others the first 256 bytes."""
    cmdline_b64: str | None = None


class CompactFile(_Part):
    """A file that the process accessed."""

    path: str
    path_b64: str | None = None
    actions: list[str] = []


class CompactBackground(_Part):
    """What stood around the detection: pid 1 comes first in the ancestry, the process itself last."""

    ancestry: list[CompactAncestor] | UnsetType = UNSET
    file_list: list[CompactFile] = []
    """The newest first."""
    flow_list: list[str] = []
    """The newest first, a line each."""
    containers: list[dict[str, str]] = []


class CompactEvent(_Part):
    """One event; `event_type` says which of the optional members are there."""

    uuid: str
    """UUIDv7."""
    timestamp: str
    """RFC 3339 with nanoseconds, UTC: when the kernel saw it."""
    event_type: EventType
    metadata: Metadata
    cut: list[Cut]
    """What was left out; the event log has it."""
    note: str | None = None
    score: Score | None = None
    process: ProcessInfo | None = None
    file: FileInfo | None = None
    flow: Flow | None = None
    background: CompactBackground | None = None
    habitat: Habitat | None = None
    scenarios: dict[str, dict[str, str]] = {}
    attenuator: Attenuator | None = None
    loss: Loss | None = None
    rule: str | None = None
    names: list[str] = []
    shared_with: list[str] = []
    count: int | UnsetType = UNSET
    fields: dict[str, msgspec.Raw] | None = None
    """For `notify`, `outcome`, `agent` and `repeated`: what they carry."""
