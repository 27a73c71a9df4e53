"""A flow against the compiled set: which recipes match, each once for a process and the service that it talks to."""

from __future__ import annotations

from raqib.matcher.ancestry import Ancestry
from raqib.matcher.facts import Facts
from raqib.matcher.matcher import Judge, Match, Prepared
from raqib.model.flow import FlowAction, FlowObservation
from raqib.recipes.compile_network import FlowRule
from raqib.recipes.spec import Because

_Service = tuple[str, str, int]


class FlowMatcher(Judge):
    """Matches flows."""

    @property
    def wanted(self) -> FlowAction:
        """All actions that any recipe could need; 0 if none is about flows."""
        return self._flows.wanted

    def replace(self, prepared: Prepared) -> None:
        """Match with another set from now on; counters and the memory of what was reported stay."""
        self._flows, self._arbitrary = prepared.compiled.flows, prepared.flow_arbitrary

    def match(self, seen: FlowObservation, ancestry: Ancestry) -> list[Match]:
        """Return the recipes that match now, in their order in the set."""
        if not seen.new & self._flows.wanted:
            return []
        service = service_of(seen)
        facts = Facts(seen.process, ancestry, self._offset_ns, seen)
        sure = seen.without_hearsay()
        sure_facts = None if sure is None else Facts(seen.process, ancestry, self._offset_ns, sure)
        matches = []
        for rule in self._flows.candidates(seen):
            if not _is_due(rule, seen) or (seen.process.key, service, rule.spec.name) in self._reported:
                continue
            arbitrary = self._arbitrary[rule.index]
            # What others have made up makes a recipe match, and never keeps it from matching.
            judged = facts
            if sure is not None and sure_facts is not None and rule.holds(sure) and arbitrary.passes(sure_facts):
                judged = sure_facts
            if match := self._judge(rule.spec, arbitrary, judged, seen.process.key, service, sure_facts):
                matches.append(match._replace(by_hearsay=sure is not None and judged is facts))
        return matches

    def explain(self, seen: FlowObservation, ancestry: Ancestry, name: str) -> Because | None:
        """Return the stage at which a recipe of the set fails for a flow, without counting; None if none."""
        rule = next((rule for rule in self._flows.rules if rule.spec.name == name), None)
        if rule is None or not rule.holds(seen):
            return "flow"
        if not _is_due(rule, seen):
            return "flow_actions"
        facts = Facts(seen.process, ancestry, self._offset_ns, seen)
        return self._because(rule.spec, self._arbitrary[rule.index], facts)


def service_of(seen: FlowObservation) -> _Service:
    """Return what is reported once for a process: peer, protocol, and the port of the side that was called.

    The caller's port is another with each connection.
    """
    called = seen.local if seen.actions & FlowAction.INCOMING else seen.remote
    return seen.remote.address, seen.protocol, called.port


def _is_due(rule: FlowRule, seen: FlowObservation) -> bool:
    return bool(seen.new & rule.wanted) and rule.satisfied_by(int(seen.actions))
