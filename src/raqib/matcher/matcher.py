"""An observation against the compiled set: which recipes match, each once for a process and a file."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from typing import NamedTuple

from raqib.matcher.ancestry import Ancestry
from raqib.matcher.arbitrary import Arbitrary
from raqib.matcher.facts import Facts
from raqib.matcher.memory import Reported
from raqib.matcher.times import TimesCounters
from raqib.model.actions import FileAction
from raqib.model.clock import boot_offset_ns
from raqib.model.excepted import Excepted
from raqib.model.observation import FileObservation
from raqib.model.process import ProcessKey
from raqib.model.recipe import RecipeInfo
from raqib.recipes.compile import EXECVE_IMPLIES, CompiledSet, Rule
from raqib.recipes.spec import Because, RecipeSpec


class Match(NamedTuple):
    """A recipe that matched."""

    recipe: RecipeSpec
    note: str
    """What the event shall say: which limits are used up. Often empty."""
    by_hearsay: bool = False
    """It would not have matched by the names alone that this host's resolvers said."""
    excepted: Excepted | None = None
    """An exception covers it: it is neither printed nor reacted to."""


class Prepared(NamedTuple):
    """A set with everything made that matching needs."""

    compiled: CompiledSet
    arbitrary: tuple[Arbitrary, ...]
    flow_arbitrary: tuple[Arbitrary, ...]


def prepare(compiled: CompiledSet) -> Prepared:
    """Make what takes time. May be called in another thread than the matcher's."""
    return Prepared(
        compiled,
        tuple(Arbitrary(rule.spec) for rule in compiled.rules),
        tuple(Arbitrary(rule.spec) for rule in compiled.flows.rules),
    )


class Judge(ABC):
    """What matchers have in common: the stages that any recipe comes to last. Not for several threads at once."""

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
        self.excepting: Callable[[RecipeInfo, Facts], Excepted | None] | None = None
        """Says which exception covers a match of a recipe; None while there are no exceptions."""
        self.replace(prepare(compiled))

    @abstractmethod
    def replace(self, prepared: Prepared) -> None:
        """Match with another set from now on; counters and the memory of what was reported stay."""

    def forget(self, process: ProcessKey) -> None:
        """Forget what was reported of a process that has ended."""
        self._reported.forget(process)

    def _judge(
        self,
        spec: RecipeSpec,
        arbitrary: Arbitrary,
        facts: Facts,
        process: ProcessKey,
        what: Hashable,
        sure: Facts | None = None,
    ) -> Match | None:
        """Return the match if the last stages let it pass; it is then reported, once for the process and `what`.

        `sure` is what exceptions go by, if that is less: what others have made up keeps nothing quiet.
        """
        if not arbitrary.passes(facts):
            return None
        if self.excepting is not None and (excepted := self.excepting(spec.info, sure or facts)) is not None:
            # It takes nothing from `times`, and what is told once is told all the same when no exception covers it.
            entry = (process, (what, excepted.id), spec.name)
            if entry in self._reported:
                return None
            self._reported.add(*entry)
            return Match(spec, "", excepted=excepted)
        note = self._times.count(spec, facts)
        if note is None:
            return None
        self._reported.add(process, what, spec.name)
        return Match(spec, note)

    def _because(self, spec: RecipeSpec, arbitrary: Arbitrary, facts: Facts) -> Because | None:
        """Return which of the last stages would say no, without counting."""
        if not arbitrary.passes(facts):
            return "arbitrary"
        return None if self._times.has_room(spec, facts) else "times"


class Matcher(Judge):
    """Matches observations of files and programs."""

    def replace(self, prepared: Prepared) -> None:
        """Match with another set from now on; counters and the memory of what was reported stay."""
        self.compiled, self._arbitrary = prepared.compiled, prepared.arbitrary

    def match(self, observation: FileObservation, ancestry: Ancestry) -> list[Match]:
        """Return the recipes that match now, in their order in the set."""
        actions, new = _with_implied(observation.actions), _with_implied(observation.new)
        if not new & int(self.compiled.wanted):
            return []
        facts: Facts | None = None
        matches = []
        for index in self._candidates(observation):
            rule = self.compiled.rules[index]
            if not new & rule.wanted or not rule.satisfied_by(actions) or self._is_reported(observation, rule):
                continue
            if facts is None:
                facts = Facts(observation.process, ancestry, self._offset_ns, file=observation)
            process, path = observation.process.key, observation.path
            if match := self._judge(rule.spec, self._arbitrary[index], facts, process, path):
                matches.append(match)
        return matches

    def explain(self, observation: FileObservation, ancestry: Ancestry, name: str) -> Because | None:
        """Return the stage at which a recipe of the set fails for an observation, without counting; None if none."""
        rule = next((rule for rule in self.compiled.rules if rule.spec.name == name), None)
        if rule is None:
            return "flow"
        if rule.index not in self._candidates(observation):
            return "bases"
        actions, new = _with_implied(observation.actions), _with_implied(observation.new)
        if not rule.satisfied_by(actions) or not new & rule.wanted:
            return "file_actions"
        facts = Facts(observation.process, ancestry, self._offset_ns, file=observation)
        return self._because(rule.spec, self._arbitrary[rule.index], facts)

    def _candidates(self, observation: FileObservation) -> list[int]:
        return sorted(set().union(*map(self.compiled.candidates, observation.names)))

    def _is_reported(self, observation: FileObservation, rule: Rule) -> bool:
        return (observation.process.key, observation.path, rule.spec.name) in self._reported


def _with_implied(actions: FileAction) -> int:
    return int(actions) | int(EXECVE_IMPLIES) if actions & FileAction.EXECVE else int(actions)
