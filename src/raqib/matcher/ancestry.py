"""How a matcher asks for a process's ancestors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from raqib.model.process import Process


class Ancestry(Protocol):
    """Knows who started whom."""

    def ancestors(self, process: Process) -> Sequence[Process]:
        """Return the known ancestors, nearest first, without the process itself."""
        ...


class KnownAncestry:
    """An ancestry that was looked up before."""

    def __init__(self, ancestors: Sequence[Process] = ()) -> None:
        self._ancestors = ancestors

    def ancestors(self, process: Process) -> Sequence[Process]:
        """Return what was given, whoever asks."""
        return self._ancestors
