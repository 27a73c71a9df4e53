"""A flow against the compiled set: which recipes match, each once for a process and the service that it talks to."""

from __future__ import annotations

import time
from collections.abc import Callable

from raqib.matcher.facts import Facts
from raqib.matcher.lineage import Lineage
from raqib.matcher.matcher import Match, Prepared, prepare
from raqib.matcher.memory import Reported
from raqib.matcher.times import TimesCounters
from raqib.model.clock import boot_offset_ns
from raqib.model.flow import FlowAction, FlowObservation
from raqib.model.process import ProcessKey
from raqib.recipes.compile import CompiledSet
from raqib.recipes.compile_network import FlowRule
from raqib.recipes.spec import Because

_Service = tuple[str, str, int]


class FlowMatcher:
    """Matches flows. Not for use by several threads at once."""

    def __init__(
        self,
        compiled: CompiledSet,
        *,
        window_s: float = 86400.0,
        clock: Callable[[], float] = time.monotonic,
        offset_ns: Callable[[], int] = boot_offset_ns,
    ) -> None:
        """`window_s` is how long a counter of `times` lives; `offset_ns` turns CLOCK_BOOTTIME into time of day."""
        self._offset_ns = offset_ns
        self._reported = Reported()
        self._times = TimesCounters(window_s, clock)
        self.replace(prepare(compiled))

    @property
    def wanted(self) -> FlowAction:
        """All actions that any recipe could need; 0 if none is about flows."""
        return self._flows.wanted

    def replace(self, prepared: Prepared) -> None:
        """Take another set; counters and the memory of what was reported stay."""
        self._flows, self._arbitrary = prepared.compiled.flows, prepared.flow_arbitrary

    def forget(self, process: ProcessKey) -> None:
        """Forget what was reported of a process that has ended."""
        self._reported.forget(process)

    def match(self, seen: FlowObservation, lineage: Lineage) -> list[Match]:
        """Return the recipes that match now, in their order in the set."""
        if not seen.new & self._flows.wanted:
            return []
        service = service_of(seen)
        facts = Facts(seen.process, lineage, self._offset_ns, seen)
        matches = []
        for rule in self._flows.candidates(seen):
            if not _is_due(rule, seen) or (seen.process.key, service, rule.spec.name) in self._reported:
                continue
            if not self._arbitrary[rule.index].passes(facts):
                continue
            note = self._times.take(rule.spec, facts)
            if note is not None:
                self._reported.add(seen.process.key, service, rule.spec.name)
                matches.append(Match(rule.spec, note))
        return matches

    def explain(self, seen: FlowObservation, lineage: Lineage, name: str) -> Because | None:
        """Return the stage at which a recipe of the set fails for a flow, without counting; None if none."""
        rule = next((one for one in self._flows.rules if one.spec.name == name), None)
        if rule is None or not rule.holds(seen):
            return "flow"
        if not _is_due(rule, seen):
            return "flow_actions"
        facts = Facts(seen.process, lineage, self._offset_ns, seen)
        if not self._arbitrary[rule.index].passes(facts):
            return "arbitrary"
        return None if self._times.has_room(rule.spec, facts) else "times"


def service_of(seen: FlowObservation) -> _Service:
    """Return what is reported once for a process: peer, protocol, and the port of the side that was called.

    The caller's port is another with each connection.
    """
    called = seen.local if seen.actions & FlowAction.INCOMING else seen.remote
    return seen.remote.address, seen.protocol, called.port


def _is_due(rule: FlowRule, seen: FlowObservation) -> bool:
    return bool(seen.new & rule.wanted) and rule.satisfied_by(int(seen.actions))
