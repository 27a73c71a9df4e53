"""What processes have done so far, as far as a recording tells; bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from raqib.model.actions import FileAction
from raqib.model.flow import FlowObservation
from raqib.model.observation import FileObservation
from raqib.model.process import ProcessKey

_MOST_OF_EACH: Final = 1000
_MOST_PROCESSES: Final = 4096

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")
_Flow = tuple[str, str, int, str, int, int | None, int | None]


class ReplayHistory:
    """The files and the flows of processes."""

    def __init__(self) -> None:
        self._files: _ByProcess[bytes, FileAction] = _ByProcess()
        self._flows: _ByProcess[_Flow, FlowObservation] = _ByProcess()

    def add(self, seen: FileObservation | FlowObservation) -> None:
        """Add an observation."""
        if isinstance(seen, FlowObservation):
            nodes = (seen.local.address, seen.local.port, seen.remote.address, seen.remote.port)
            self._flows.keep(seen.process.key, (seen.protocol, *nodes, seen.icmp_type, seen.icmp_code), seen)
        else:
            self._files.keep(seen.process.key, seen.path, seen.actions)

    def files(self, process: ProcessKey) -> list[tuple[bytes, FileAction]]:
        """Return a process's files, the latest first."""
        return list(reversed(self._files.entries(process).items()))

    def flows(self, process: ProcessKey) -> list[FlowObservation]:
        """Return a process's flows, the latest first."""
        return list(reversed(self._flows.entries(process).values()))


class _ByProcess(Generic[_Key, _Value]):
    def __init__(self) -> None:
        self._known: OrderedDict[ProcessKey, OrderedDict[_Key, _Value]] = OrderedDict()

    def keep(self, process: ProcessKey, key: _Key, value: _Value) -> None:
        own = self._known.setdefault(process, OrderedDict())
        self._known.move_to_end(process)
        own[key] = value
        own.move_to_end(key)
        if len(own) > _MOST_OF_EACH:
            own.popitem(last=False)
        if len(self._known) > _MOST_PROCESSES:
            self._known.popitem(last=False)

    def entries(self, process: ProcessKey) -> OrderedDict[_Key, _Value]:
        return self._known.get(process, OrderedDict())
