"""The process table: what the kernel side knows of processes, living or not."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from raqib.kernel.layout import ffi
from raqib.kernel.object import BpfObject
from raqib.model.clock import boottime_ns
from raqib.model.process import Process, ProcessKey
from raqib.sensors.decode import process

__all__ = ["LoaderVariables", "ProcessTable"]

_STABLE_BYTES = ffi.offsetof("struct process", "tally")
_MOST_DECODED = 256


class LoaderVariables(NamedTuple):
    """Variables whose names begin with LD_, each as NAME=VALUE, as a program found them when it started."""

    variables: tuple[bytes, ...]
    complete: bool
    """There were no others."""


class ProcessTable:
    """Answers for processes by their keys. Belongs to one thread."""

    def __init__(self, bpf: BpfObject) -> None:
        """Read the maps of a loaded object, and make what its programs fall back on without room for a process."""
        self._processes = bpf.map("processes", "struct process_key", "struct process")
        self._exited = bpf.map("exited", "struct process_key", "struct process")
        self._environments = bpf.map("environments", "struct process_key", "struct environment")
        self._texts = bpf.map("texts", "uint64_t", "struct long_text")
        self._decoded: dict[bytes, Process] = {}
        self._environments_since_ns: int | None = None
        for cpu in range(bpf.cpus):
            self._processes.set(self._processes.key({"pid": cpu, "zero": 1}), self._processes.value())

    def find(self, key: ProcessKey) -> Process | None:
        """Return what the kernel knows of a process, also if it has ended."""
        raw = self._raw(key)
        if raw is None:
            return None
        # Most of those that are asked for are ancestors, which stay as they are.
        packed = bytes(ffi.buffer(raw, _STABLE_BYTES))
        known = self._decoded.get(packed)
        if known is None:
            known = process(raw, self.text)
            if len(self._decoded) >= _MOST_DECODED:
                self._decoded.clear()
            self._decoded[packed] = known
        return known

    def living(self) -> Iterator[ProcessKey]:
        """Yield the processes that live."""
        for key, _ in self._processes.entries():
            if not key.zero:
                yield ProcessKey(key.pid, key.start_ns)

    def newest(self, pids: Collection[int]) -> dict[int, ProcessKey]:
        """Return the latest process of each number, living or ended, as far as the kernel remembers."""
        found: dict[int, ProcessKey] = {}
        for table in (self._exited, self._processes) if pids else ():
            for key, _ in table.entries():
                if key.pid in pids and not key.zero and key.start_ns > found.get(key.pid, ProcessKey(0, 0)).start_ns:
                    found[key.pid] = ProcessKey(key.pid, key.start_ns)
        return found

    def lost_of(self, key: ProcessKey) -> int:
        """Return how much of what a process did could not be told."""
        raw = self._raw(key)
        return 0 if raw is None else int(raw.tally.lost)

    def text(self, hash_: int) -> bytes | None:
        """Return a long path or long arguments by their hash, if the kernel still has them."""
        raw = self._texts.get(self._texts.key(hash_))
        return bytes(ffi.buffer(raw.text, min(raw.len, len(raw.text)))) if raw else None

    def set_environments_kept(self, kept: bool) -> None:
        """Take note whether the interests ask the kernel side to keep what `loader_variables` returns."""
        if not kept:
            self._environments_since_ns = None
        elif self._environments_since_ns is None:
            self._environments_since_ns = boottime_ns()

    def loader_variables(self, seen: Process) -> LoaderVariables:
        """Return what the environment of a process's program had for the dynamic loader when it started.

        Known for a while, of programs that started while the interests asked for environments.
        """
        began_ns = seen.image.exec_ns
        if self._environments_since_ns is None or began_ns <= self._environments_since_ns:
            return LoaderVariables((), complete=False)
        if seen.key.start_ns > began_ns:
            # Forked since: what its parent's program found is kept under the parent.
            return LoaderVariables((), complete=False)
        raw: Any = self._environments.get(self._environments.key({"pid": seen.key.pid, "start_ns": seen.key.start_ns}))
        if raw is None or raw.exec_ns != began_ns:
            # None were kept, or they were pushed out.
            return LoaderVariables((), complete=not seen.image.has_environment)
        text = bytes(ffi.buffer(raw.text, raw.len))
        return LoaderVariables(tuple(text.split(b"\0")[:-1]), complete=not raw.incomplete)

    def _raw(self, key: ProcessKey) -> Any:
        raw_key = self._processes.key({"pid": key.pid, "start_ns": key.start_ns})
        return self._processes.get(raw_key) or self._exited.get(raw_key)
