"""What reactions cost: start-up, helper calls, whole ones, how many a second, and the memory of their workers.

Run as root on an idle machine: `python -m bench.reactions [rounds]`. Prints one line of JSON, durations in
milliseconds, memory in MiB.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import quantiles

from raqib.actions.settings import Places
from raqib.model.clock import boottime_ns
from raqib.model.execution import Finished, LogLine
from raqib.model.process import Process
from raqib.reactions import Reactions, ReactionSettings
from raqib.testing import live_process, make_detection

CALLS_A_ROUND = 50
BURST = 300
"""Executions of which the rate is taken."""
FIVE = "function process() { Info('a'); DataIncr('n'); DataGet('n'); Stat('/'); KillProcess(1) }"
"""A whole reaction, with five helpers."""


class Bench:
    """Runs reactions and keeps what was reported."""

    def __init__(self, data_dir: Path, workers: int = 2) -> None:
        settings, places = ReactionSettings(workers=workers, kills_per_minute=1_000_000), Places(data_dir)
        self.finished: list[Finished] = []
        self.workers = workers
        self.reactions = Reactions(settings, places, on_log=self._ignore, on_finished=self.finished.append)

    def _ignore(self, line: LogLine) -> None:
        """Log lines are not shown."""

    async def run(self, code: str, ancestry: Sequence[Process] = ()) -> Finished:
        """Run one reaction on a warm worker."""
        await self.reactions.wait_ready(self.workers + 1)
        self.reactions.submit(make_detection(code, ancestry=ancestry))
        await self.reactions.drain()
        return self._last()

    async def rate(self, code: str) -> float:
        """Return how many reactions a second are run while there are always some that wait."""
        await self.reactions.wait_ready(self.workers + 1)
        started_ns = boottime_ns()
        for _ in range(BURST):
            self.reactions.submit(make_detection(code))
        await self.reactions.drain()
        self._last()
        return BURST * 1e9 / (boottime_ns() - started_ns)

    async def memory(self) -> tuple[float, float]:
        """Return what a warm worker has resident, and what of it is its own alone, in MiB."""
        await self.reactions.wait_ready(self.workers + 1)
        resident, own = zip(*(memory_of(pid) for pid in self.reactions.worker_pids), strict=True)
        return sum(resident) / len(resident), sum(own) / len(own)

    def _last(self) -> Finished:
        finished = self.finished[-1]
        if finished.outcome != "ok":
            raise SystemExit(finished.error)
        return finished


def memory_of(pid: int) -> tuple[float, float]:
    """Return a process's resident memory and its private part, in MiB."""
    sizes: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, size, _ = line.split()
        sizes[name] = int(size)
    return sizes["Rss:"] / 1024, (sizes["Private_Clean:"] + sizes["Private_Dirty:"]) / 1024


def spread(durations_ns: Sequence[float]) -> dict[str, float]:
    """Return median and 99th percentile in milliseconds."""
    parts = quantiles(durations_ns, n=100, method="inclusive")
    return {"p50_ms": round(parts[49] / 1e6, 3), "p99_ms": round(parts[98] / 1e6, 3)}


async def measure(rounds: int) -> dict[str, object]:
    """Return the results."""
    result: dict[str, object] = {"benchmark": "reactions", "rounds": rounds}
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(Path(directory))
        await bench.reactions.start()
        startup: list[float] = []
        whole: list[float] = []
        kill: list[float] = []
        calls: dict[str, list[float]] = {"refused": [], "query": [], "change": []}
        for _ in range(rounds):
            timings = (await bench.run("function process() { KillProcess(1) }")).timings
            startup.append((timings.first_action_ns or 0) - (timings.started_ns or 0))
            for name, call in (("refused", "KillProcess(1)"), ("query", "DataGet('x')"), ("change", "DataIncr('n')")):
                code = f"function process() {{ for (let i = 0; i < {CALLS_A_ROUND}; i++) {call} }}"
                actions = (await bench.run(code)).actions
                calls[name] += [after.ended_ns - before.ended_ns for before, after in pairwise(actions)]
            timings = (await bench.run(FIVE)).timings
            whole.append((timings.ended_ns or 0) - timings.queued_ns)
            with subprocess.Popen(["sleep", "60"]) as victim:  # noqa: ASYNC220 -- nothing else runs
                finished = await bench.run("function process() { KillCurrent() }", [live_process(victim.pid)])
                if finished.actions[0].value != 0:
                    raise SystemExit(f"expected a kill, got {finished.actions[0]}")
            kill.append((finished.timings.first_action_ns or 0) - finished.timings.queued_ns)
        resident, own = await bench.memory()
        await bench.reactions.close()
    result["start_up"] = spread(startup)
    result["helper_call"] = {name: spread(durations) for name, durations in calls.items()}
    result["five_helpers"] = spread(whole)
    result["kill_current"] = spread(kill)
    result["worker_mib"] = {"resident": round(resident, 1), "own": round(own, 1)}
    rates = {}
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as directory:
            bench = Bench(Path(directory), workers)
            await bench.reactions.start()
            rates[str(workers)] = round(await bench.rate(FIVE), 1)
            await bench.reactions.close()
    result["executions_a_second"] = rates
    return result


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 100))))
