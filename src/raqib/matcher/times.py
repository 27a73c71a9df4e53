"""Counting for `times`: an event is reported only while every limit still has room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

from raqib.matcher.facts import Facts, command
from raqib.recipes.spec import RecipeSpec, TimesKind

MAX_COUNTERS: Final = 65_536
"""Beyond it, the counter that was used longest ago is forgotten."""

_VALUES: dict[TimesKind, Callable[[Facts], Hashable]] = {
    "times_per_proc": lambda facts: facts.process.key,
    "times_per_parent_proc": lambda facts: facts.parent.key if facts.parent else facts.process.parent,
    "times_per_exe": lambda facts: facts.process.image.exe,
    "times_per_parent_exe": lambda facts: facts.parent.image.exe if facts.parent else b"",
    "times_per_cmd": lambda facts: command(facts.process.image),
    "times_per_full_ancestry": lambda facts: tuple(process.image.exe for process in (facts.process, *facts.ancestors)),
    "times_per_hostname": lambda facts: facts.process.namespaces.uts_ns,
    "times_per_host": lambda facts: None,
}
_NOTES: dict[TimesKind, str] = {
    "times_per_proc": "last one for this process",
    "times_per_parent_proc": "last one for this parent process",
    "times_per_exe": "last one for this executable",
    "times_per_parent_exe": "last one for this parent executable",
    "times_per_cmd": "last one for this command",
    "times_per_full_ancestry": "last one for this ancestry",
    "times_per_hostname": "last one for this host name",
    "times_per_host": "last one for this host",
}
_Key = tuple[str, TimesKind, int]
"""Of what is counted only the hash is kept: texts may be long."""


class TimesCounters:
    """The counters of all recipes, bounded in number; each forgets a window after its first event."""

    def __init__(self, window_s: float, clock: Callable[[], float], capacity: int = MAX_COUNTERS) -> None:
        self._window_s = window_s
        self._clock = clock
        self._capacity = capacity
        self._counters: OrderedDict[_Key, tuple[int, float]] = OrderedDict()

    def count(self, spec: RecipeSpec, facts: Facts) -> str | None:
        """Count an event and return the note for it, or return None and count nothing if a limit is used up."""
        if not spec.times:
            return ""
        now = self._clock()
        counted = self._after(spec, facts, now)
        if counted is None:
            return None
        for key, count, since in counted:
            self._counters[key] = (count, since)
            self._counters.move_to_end(key)
        while len(self._counters) > self._capacity:
            self._counters.popitem(last=False)
        pairs = zip(spec.times, counted, strict=True)
        return "; ".join(_NOTES[limit.kind] for limit, (_, count, _) in pairs if count >= limit.max)

    def has_room(self, spec: RecipeSpec, facts: Facts) -> bool:
        """Tell whether `take` would count an event."""
        return self._after(spec, facts, self._clock()) is not None

    def _after(self, spec: RecipeSpec, facts: Facts, now: float) -> list[tuple[_Key, int, float]] | None:
        counted: list[tuple[_Key, int, float]] = []
        for limit in spec.times:
            key: _Key = (spec.name, limit.kind, hash(_VALUES[limit.kind](facts)))
            count, since = self._counters.get(key, (0, now))
            if now - since >= self._window_s:
                count, since = 0, now
            if count >= limit.max:
                return None
            counted.append((key, count + 1, since))
        return counted
