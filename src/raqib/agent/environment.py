"""Which variables of a program's environment are known, and which of them recipes ask for.

Those for the dynamic loader come from the kernel side, which reads them before the program runs. Others are read from
procfs, which misses programs that end at once and shows what a program has put there itself.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from msgspec.structs import replace

from raqib.host.environment import EnvironmentReader
from raqib.model.flow import FlowObservation
from raqib.model.observation import FileObservation
from raqib.model.process import Process, ProcessKey
from raqib.recipes.compile import CompiledSet
from raqib.recipes.literals import begins_with
from raqib.recipes.regex import ExpressionSet, subject
from raqib.sensors.processes import LoaderVariables

_MOST_OF_EACH: Final = 4
"""Variables kept for each expression of the recipes."""
_MOST_OTHERS: Final = 32
_MOST_PROCESSES: Final = 8192
_MOST_KEPT_BYTES: Final = 8 << 20
"""Of all processes together: one alone may have megabytes."""
_LOADER: Final = "LD_"

_Key = tuple[ProcessKey, int]
Observation = TypeVar("Observation", bound="FileObservation | FlowObservation")


_NOT_KNOWN: Final = LoaderVariables((), complete=False)


class Environments:
    """What is known of processes' environments. Nothing is read while no recipe asks for it."""

    def __init__(
        self,
        loader_variables: Callable[[Process], LoaderVariables] = lambda process: _NOT_KNOWN,
        on_unread: Callable[[Process], None] = lambda process: None,
        *,
        reader: EnvironmentReader | None = None,
    ) -> None:
        """`loader_variables` returns what the kernel side has kept; `on_unread` gets processes that do not answer."""
        self._loader_variables = loader_variables
        self._on_unread = on_unread
        self._reader = reader or EnvironmentReader()
        self._wanted = Wanted(())
        self._active = False
        self._known: OrderedDict[_Key, tuple[bytes, ...]] = OrderedDict()
        self._known_bytes = 0

    def replace(self, compiled: CompiledSet) -> None:
        """Take the recipes whose questions are to be answered."""
        patterns = sorted(
            {
                item.pattern
                for recipe in compiled.recipes
                for group in recipe.groups
                for item in group.items
                if item.what.endswith("envs") and item.pattern is not None
            }
        )
        if patterns != self._wanted.patterns:
            self._wanted = Wanted(patterns)
            self._known.clear()
            self._known_bytes = 0
        self._active = compiled.wants_envs

    def complete_observation(self, seen: Observation) -> Observation:
        """Return the observation with what its process's environment holds, if recipes ask for that."""
        return replace(seen, process=self.complete(seen.process)) if self._active else seen

    def finder(self, find: Callable[[ProcessKey], Process | None]) -> Callable[[ProcessKey], Process | None]:
        """Return a function that finds processes with their environment."""
        if not self._active:
            return find

        def find_with_environment(key: ProcessKey) -> Process | None:
            found = find(key)
            return None if found is None else self.complete(found)

        return find_with_environment

    def complete(self, process: Process) -> Process:
        """Return the process with its environment: as read at the start of its program, or now. Not known is empty."""
        if process.envs:
            return process
        key = (process.key, process.image.exec_ns)
        known = self._known.get(key)
        if known is None:
            known = self._read(process)
        return replace(process, envs=known) if known else process

    def close(self) -> None:
        """Read nothing more."""
        self._reader.close()

    def _read(self, process: Process) -> tuple[bytes, ...]:
        kept = self._loader_variables(process)
        known = self._wanted.select(kept.variables)
        if process.exit_ns is None and not (kept.complete and self._wanted.only_loader):
            read = self._reader.read(process.key, process.uid, self._wanted.select)
            if read is None:
                self._on_unread(process)
                return known
            known = tuple(dict.fromkeys((*known, *read)))
        self._known[process.key, process.image.exec_ns] = known
        self._known_bytes += sum(map(len, known))
        # The latest stays, whatever it takes.
        while len(self._known) > _MOST_PROCESSES or (self._known_bytes > _MOST_KEPT_BYTES and len(self._known) > 1):
            self._known_bytes -= sum(map(len, self._known.popitem(last=False)[1]))
        return known


class Wanted:
    """Decides which variables are kept: those that an expression is found in, and those of the dynamic loader."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = list(patterns)
        self.only_loader = all(begins_with(pattern, _LOADER) for pattern in self.patterns)
        """No expression is found in any but the loader's variables."""
        self._expressions = ExpressionSet(self.patterns)

    def select(self, variables: Iterable[bytes]) -> tuple[bytes, ...]:
        """Return what is kept. However many there are, none can push out another expression's."""
        kept: dict[bytes, None] = {}
        counts = [0] * len(self.patterns)
        others = 0
        for variable in variables:
            found = [index for index in self._expressions.found_in(subject(variable)) if counts[index] < _MOST_OF_EACH]
            for index in found:
                counts[index] += 1
            if not found and variable.startswith(_LOADER.encode()) and others < _MOST_OTHERS:
                others += 1
                kept[variable] = None
            elif found:
                kept[variable] = None
        return tuple(kept)
