"""What the agent counts of matches, reactions and actions, and how long they took."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

from raqib.model.execution import Finished

_LATEST = 4096
"""Latencies are those of so many latest cases."""


class Latency:
    """The distribution of a duration over the latest cases."""

    def __init__(self) -> None:
        self._latest: deque[int] = deque(maxlen=_LATEST)
        self._count = 0

    def add(self, duration_ns: int) -> None:
        """Take in one case."""
        self._latest.append(duration_ns)
        self._count += 1

    def summary(self) -> dict[str, float | int | None]:
        """Return the number of cases and the median and 99th percentile in milliseconds, None if there is no case."""
        ordered = sorted(self._latest)
        return {"count": self._count, "p50_ms": _percentile(ordered, 50), "p99_ms": _percentile(ordered, 99)}


def _percentile(ordered: list[int], percent: int) -> float | None:
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] / 1e6, 3)


class Statistics:
    """Counters since the agent's start."""

    def __init__(self) -> None:
        self.matches: Counter[str] = Counter()
        """By recipe."""
        self.repeated = 0
        """Of these, how many were not printed but counted in `repeated` events, for want of room."""
        self.alike = 0
        """The same, since they were like one that was printed."""
        self.outcomes: Counter[str] = Counter()
        """Of reactions that are over."""
        self.actions: Counter[str] = Counter()
        """By decision."""
        self.begun = 0
        """Reactions that were handed to a worker and are over."""
        self.breakers = 0
        """How often a recipe's budget was used up."""
        self.detect_to_print = Latency()
        self.detect_to_react = Latency()
        self.detect_to_act = Latency()

    def matched(self, recipe: str, seen_ns: int, printed_ns: int) -> None:
        """Count a detection that has been printed."""
        self.matches[recipe] += 1
        self.detect_to_print.add(printed_ns - seen_ns)

    def counted(self, recipe: str) -> None:
        """Count a detection that is not printed, for want of room."""
        self.matches[recipe] += 1
        self.repeated += 1

    def counted_alike(self, recipe: str) -> None:
        """Count a detection that is not printed, since it is like one that was."""
        self.matches[recipe] += 1
        self.alike += 1

    def finished(self, finished: Finished) -> None:
        """Count a reaction that is over."""
        self.outcomes[finished.outcome] += 1
        self.actions.update(record.decision for record in finished.actions)
        timings = finished.timings
        if timings.started_ns is None:
            return
        self.begun += 1
        if timings.seen_ns is not None:
            self.detect_to_react.add(timings.started_ns - timings.seen_ns)
            if timings.first_action_ns is not None:
                self.detect_to_act.add(timings.first_action_ns - timings.seen_ns)

    def summary(self, running: int, waiting: int) -> dict[str, Any]:
        """Return everything, with the reactions that run and wait now."""
        outcomes = self.outcomes
        return {
            "matches": {
                "total": self.matches.total(),
                "repeated": self.repeated,
                "alike": self.alike,
                "by_recipe": dict(self.matches.most_common()),
            },
            "reactions": {
                "started": self.begun + running,
                "running": running,
                "waiting": waiting,
                "done": outcomes["ok"],
                **{
                    outcome: outcomes[outcome]
                    for outcome in ("error", "timeout", "out_of_memory", "crashed", "dropped", "refused")
                },
            },
            "actions": {decision: self.actions[decision] for decision in ("done", "would", "refused", "error")},
            "breakers_opened": self.breakers,
            "latency": {
                "detect_to_print": self.detect_to_print.summary(),
                "detect_to_react": self.detect_to_react.summary(),
                "detect_to_act": self.detect_to_act.summary(),
            },
        }
