"""From an observation to detections: what is known of its process, the recipes that match, what stands around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from raqib.agent.environment import Environments
from raqib.agent.network import TOLD, Network, begins_or_ends
from raqib.agent.reporting import Kept
from raqib.agent.shadow import Shadows
from raqib.events.ancestry import LiveAncestry
from raqib.events.build import detect, detect_within, flow_event
from raqib.events.surroundings import Surroundings
from raqib.matcher.facts import Facts
from raqib.matcher.flows import FlowMatcher
from raqib.matcher.matcher import Match, Matcher, Prepared
from raqib.model.actions import FileAction
from raqib.model.clock import boottime_ns
from raqib.model.detection import Detection
from raqib.model.event import Event
from raqib.model.excepted import Excepted
from raqib.model.flow import NO_FLOW_ACTIONS, FlowAction, FlowObservation
from raqib.model.observation import FileObservation
from raqib.model.process import Process
from raqib.model.recipe import RecipeInfo
from raqib.recipes.compile import CompiledSet
from raqib.sensors.files import FileSensor


class Detector:
    """Belongs to one event loop."""

    def __init__(
        self,
        prepared: Prepared,
        matcher: Matcher,
        *,
        window_s: float,
        sensor: FileSensor,
        network: Network,
        environments: Environments,
        shadows: Shadows,
        cover: Callable[[Match, FileObservation | FlowObservation], None],
        flow_events: bool,
        report: Callable[[Detection], None],
        publish: Callable[[Event], object],
    ) -> None:
        """`cover` gets what an exception covers, `report` detections, `publish` events of flows, if they are wanted."""
        self._matcher = matcher
        self._flow_matcher = FlowMatcher(prepared.compiled, window_s=window_s)
        self._sensor = sensor
        self._network = network
        self._environments = environments
        self._shadows = shadows
        self._cover = cover
        self._flow_events = flow_events
        self._report = report
        self._publish = publish
        self._kept = Kept()
        self.prepared = prepared
        """The recipes in force."""
        self.use(prepared)

    def use(self, prepared: Prepared) -> None:
        """Put another set of recipes in force. What was counted and reported stays."""
        self.prepared = prepared
        self._matcher.replace(prepared)
        self._flow_matcher.replace(prepared)
        self._environments.replace(prepared.compiled)

    def use_exceptions(self, excepting: Callable[[RecipeInfo, Facts], Excepted | None] | None) -> None:
        """Ask whether an exception covers a match; None: there are no exceptions."""
        self._matcher.excepting = self._flow_matcher.excepting = excepting

    @property
    def wanted_flows(self) -> FlowAction:
        """What flows have to do to be observed."""
        return wanted_flows(self.prepared.compiled, flow_events=self._flow_events)

    def observe_file(self, seen: FileObservation) -> None:
        """Match what a process did to a file."""
        seen = self._environments.complete_observation(seen)
        ancestry = self._ancestry()
        self._report_matches(seen, ancestry, self._matcher.match(seen, ancestry))

    def observe_flow(self, seen: FlowObservation) -> None:
        """Match what a flow did, and tell of it if that is wanted of all."""
        seen = self._environments.complete_observation(seen)
        ancestry = self._ancestry()
        if self._flow_events and begins_or_ends(seen):
            self._publish(flow_event(seen, ancestry.ancestors(seen.process)))
        self._report_matches(seen, ancestry, self._flow_matcher.match(seen, ancestry))

    def _ancestry(self) -> LiveAncestry:
        return LiveAncestry(self._environments.finder(self._sensor.processes.find))

    def _report_matches(
        self, seen: FileObservation | FlowObservation, ancestry: LiveAncestry, matches: Iterable[Match]
    ) -> None:
        around: Surroundings | None = None
        for match in matches:
            recipe = match.recipe.info
            if match.excepted is not None:
                self._cover(match, seen)
                continue
            if recipe.mode == "shadow":
                self._shadows.count(recipe)
                continue
            if around is None:
                around = self._kept.get(
                    seen.process, seen.timestamp_ns, lambda: self._surroundings(seen.process, ancestry)
                )
            self._report(detect_within(recipe, seen, around, match.note, by_hearsay=match.by_hearsay))

    def _surroundings(self, process: Process, ancestry: LiveAncestry) -> Surroundings:
        described_ns = boottime_ns()
        key = process.key
        return Surroundings(
            process,
            ancestry.ancestors(process),
            self._sensor.accessed(key),
            self._network.flows(key),
            described_ns=described_ns,
        )

    def warm_up(self) -> None:
        """Go the way of a detection once, to nowhere: the first real one should not be the slowest."""
        find = self._sensor.processes.find
        own = find(self._sensor.agent)
        if own is not None:
            seen = FileObservation(process=own, path=b"/", actions=FileAction.OPEN, new=FileAction.OPEN, timestamp_ns=0)
            recipe = RecipeInfo(kind="agent", name="warm_up", mechanism="file_access", importance="none")
            detect(recipe, seen, LiveAncestry(find).ancestors(own), self._sensor.accessed(own.key), "")


def wanted_flows(compiled: CompiledSet, *, flow_events: bool) -> FlowAction:
    """Return what flows have to do to be observed: what recipes ask for, and what is told of all if that is wanted."""
    return compiled.flows.wanted | (TOLD if flow_events else NO_FLOW_ACTIONS)
