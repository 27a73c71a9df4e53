"""What stands around a detection: described once for all detections of a process that it is true for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from raqib.events.describe import file_list, file_tree, process_info
from raqib.events.flows import flow_info, flows_info, with_flow
from raqib.model.actions import FileAction
from raqib.model.detection import weight
from raqib.model.event import Background, Directory, FileTree, Flows
from raqib.model.flow import FlowObservation
from raqib.model.in_flight import Cost
from raqib.model.process import Process

MOST_BYTES: Final = 2 << 20
"""About what the files and the flows of one background take in memory, each; the newest are in it."""

_ENTRY_BYTES: Final = 512
_FLOW_BYTES: Final = 2048
_encode = msgspec.json.Encoder().encode

_NO_FILES: Final = FileTree(root=Directory(path="/", base="/", dirs=[], files=[]))
NOTHING: Final = (b',"background":', _encode(Background(ancestry=[], files=_NO_FILES, flows=Flows())), b"}")
"""Instead of a background for which there is no room: what code counts on is there, and empty."""


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """A background in the forms in which it is needed."""

    background: Background
    json: tuple[bytes, ...]
    """What follows an event's JSON without its closing brace."""
    cost: Cost
    notes: tuple[str, ...]
    """What was left out."""


class Surroundings:
    """The background of one process."""

    def __init__(
        self,
        process: Process,
        ancestors: Sequence[Process],
        accessed: Sequence[tuple[bytes, FileAction]],
        flows: Sequence[FlowObservation] = (),
        *,
        described_ns: int = 0,
    ) -> None:
        """`ancestors` are nearest first, without the process; `described_ns` is when it began to be asked for."""
        self.ancestry = (*reversed(ancestors), process)
        self.described = [process_info(ancestor) for ancestor in self.ancestry]
        self._process = process
        self._described_ns = described_ns
        self._flows = flows
        kept, self._bytes = _fitting(accessed)
        self._left_out = len(accessed) - len(kept)
        self._files = file_list(kept)
        self._tree = file_tree(self._files)
        self._own_json = _encode(Background(ancestry=self.described, files=self._tree, file_list=self._files))
        self._weight = sum(map(weight, self.ancestry))
        self._around: Around | None = None
        # Not itself: what is in a circle is freed late.
        self._token = object()

    @property
    def size(self) -> int:
        """What it takes, in bytes."""
        return 2 * len(self._own_json) + self._bytes + self._weight

    def holds_for(self, process: Process, seen_ns: int) -> bool:
        """Tell whether all that a process had done by then is in it."""
        return seen_ns <= self._described_ns and process == self._process

    def around(self, seen: FlowObservation | None = None) -> Around:
        """Return the background; that of a flow begins with the flow as it was then."""
        if seen is not None:
            return self._make(with_flow(self._flows, seen))
        if self._around is None:
            self._around = self._make(self._flows)
        return self._around

    def _make(self, flows: Sequence[FlowObservation]) -> Around:
        most = MOST_BYTES // _FLOW_BYTES
        kept = flows[:most]
        flow_part = Background(flows=flows_info(kept), flow_list=[flow_info(flow) for flow in kept])
        flows_json = _encode(flow_part)
        background = Background(
            ancestry=self.described,
            files=self._tree,
            file_list=self._files,
            flows=flow_part.flows,
            flow_list=flow_part.flow_list,
        )
        left_out = ((self._left_out, "files"), (len(flows) - len(kept), "flows"))
        own = len(flows_json) + _FLOW_BYTES * len(kept)
        return Around(
            background=background,
            json=(b',"background":', self._own_json[:-1] + b",", flows_json[1:], b"}"),
            # Flows that belong to this one event are its own.
            cost=Cost(own, self.size, self._token)
            if flows is not self._flows
            else Cost(0, self.size + own, self._token),
            notes=tuple(f"the background is without the {number} oldest {name}" for number, name in left_out if number),
        )


def _fitting(accessed: Sequence[tuple[bytes, FileAction]]) -> tuple[Sequence[tuple[bytes, FileAction]], int]:
    """Return the newest files that fit, and what they take: each directory counts with the whole of its path."""
    known: set[bytes] = set()
    total = 0
    for number, (path, _) in enumerate(accessed):
        size = _ENTRY_BYTES + 2 * len(path)
        at = path.rfind(b"/")
        while at > 0 and (above := path[:at]) not in known:
            known.add(above)
            size += _ENTRY_BYTES + 2 * at
            at = path.rfind(b"/", 0, at)
        if total + size > MOST_BYTES:
            return accessed[:number], total
        total += size
    return accessed, total
