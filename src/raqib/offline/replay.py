"""Runs recipes and reactions over a recording: no privileges, no kernel, nothing done."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Final

import msgspec

from raqib.config.config import Config
from raqib.events.build import detect
from raqib.matcher.ancestry import KnownAncestry
from raqib.matcher.flows import FlowMatcher
from raqib.matcher.matcher import Match, Matcher
from raqib.model.detection import Detection
from raqib.model.execution import LogLine
from raqib.model.flow import FlowObservation
from raqib.model.observation import FileObservation
from raqib.offline.dry_run import DryRun, Reacted
from raqib.offline.recording import Recorded
from raqib.offline.replay_history import ReplayHistory
from raqib.recipes.compile import compile_set
from raqib.recipes.spec import RecipeSpec

_NS_PER_S: Final = 1_000_000_000


class Summary(msgspec.Struct):
    """What came of it."""

    observations: int = 0
    detections: int = 0
    calls: int = 0
    """Helper calls that reactions would have made."""
    shadowed: dict[str, int] = {}
    """Matches of recipes in mode `shadow`, which are counted only."""


class Replay:
    """One run over one recording."""

    def __init__(
        self,
        config: Config,
        recipes: Iterable[RecipeSpec],
        *,
        on_detection: Callable[[Detection, Sequence[Reacted]], None],
        on_log: Callable[[LogLine], None] = lambda line: None,
    ) -> None:
        """`on_detection` hears of each detection, and of what its reactions would have done."""
        self._config = config
        self._compiled = compile_set(recipes)
        self._on_detection = on_detection
        self._on_log = on_log
        self._now_ns = 0
        self._matcher = Matcher(
            self._compiled, window_s=config.recipes.times_window_s, clock=lambda: self._now_ns / _NS_PER_S
        )
        self._flow_matcher = FlowMatcher(
            self._compiled, window_s=config.recipes.times_window_s, clock=lambda: self._now_ns / _NS_PER_S
        )
        self._history = ReplayHistory()
        self._shadowed: Counter[str] = Counter()

    async def run(self, recording: Iterable[Recorded], *, real_time: bool) -> Summary:
        """Take the observations as they come, or, in real time, with the pauses that there were between them.

        Raises NotPermittedError if reactions are to run and no worker comes up; RaqibError for the recording.
        """
        summary = Summary()
        async with AsyncExitStack() as stack:
            dry_run = None
            if any(_reacts(recipe) for recipe in self._compiled.recipes):
                dry_run = await stack.enter_async_context(DryRun(self._config, on_log=self._on_log))
            began: tuple[int, float] | None = None
            loop = asyncio.get_running_loop()
            for seen, ancestors in recording:
                began = began or (seen.timestamp_ns, loop.time())
                if real_time:
                    due = began[1] + (seen.timestamp_ns - began[0]) / _NS_PER_S
                    await asyncio.sleep(max(0.0, due - loop.time()))
                self._now_ns = seen.timestamp_ns
                self._history.add(seen)
                summary.observations += 1
                ancestry = KnownAncestry(ancestors)
                for match in self._match(seen, ancestry):
                    await self._matched(match, Recorded(seen, ancestors), dry_run, summary)
        summary.shadowed = dict(self._shadowed)
        return summary

    def _match(self, seen: FileObservation | FlowObservation, ancestry: KnownAncestry) -> list[Match]:
        if isinstance(seen, FlowObservation):
            return self._flow_matcher.match(seen, ancestry)
        return self._matcher.match(seen, ancestry)

    async def _matched(self, match: Match, recorded: Recorded, dry_run: DryRun | None, summary: Summary) -> None:
        recipe, seen = match.recipe.info, recorded.seen
        if recipe.mode == "shadow":
            self._shadowed[recipe.name] += 1
            return
        process = seen.process.key
        files, flows = self._history.files(process), self._history.flows(process)
        detection = detect(recipe, seen, recorded.ancestors, files, match.note, flows, by_hearsay=match.by_hearsay)
        reacted: list[Reacted] = []
        if dry_run is not None and _reacts(match.recipe):
            reacted = await dry_run.react(detection)
        summary.detections += 1
        summary.calls += sum(len(reaction.calls) for reaction in reacted)
        self._on_detection(detection, reacted)


def _reacts(recipe: RecipeSpec) -> bool:
    return bool(recipe.info.reactions) and recipe.info.mode in ("react", "dry_react")
