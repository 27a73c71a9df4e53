"""Measures what a reaction costs: start-up, helper calls, kills. Run as root: `python bench/reactions.py [rounds]`."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from raqib.model.process import Process
from raqib.reactions import Finished, LogLine, Reactions, ReactionsConfig
from raqib.testing import live_process, make_detection

QUERIES_PER_ROUND = 50


class Bench:
    """Runs one reaction after the other and keeps what was reported."""

    def __init__(self, data_dir: Path) -> None:
        config = ReactionsConfig(data_dir=data_dir, workers=2, kills_per_minute=1_000_000)
        self.finished: list[Finished] = []
        self.reactions = Reactions(config, on_log=self._ignore, on_finished=self.finished.append)

    def _ignore(self, line: LogLine) -> None:
        """Log lines are not shown."""

    async def run(self, code: str, ancestry: Sequence[Process] = ()) -> Finished:
        """Run one reaction on a warm worker."""
        await self.reactions.wait_ready(3)
        self.reactions.submit(make_detection(code, ancestry=ancestry))
        await self.reactions.drain()
        finished = self.finished[-1]
        if finished.outcome != "ok":
            raise SystemExit(finished.error)
        return finished


def show(what: str, values_ns: Sequence[float]) -> None:
    """Print median and 99th percentile in microseconds."""
    ordered = sorted(values_ns)
    worst = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    print(f"{what:<48} {statistics.median(ordered) / 1000:>10.0f} {worst / 1000:>10.0f}")


async def measure(rounds: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(Path(directory))
        await bench.reactions.start()
        startup, call, query, whole, kill = [], [], [], [], []
        for _ in range(rounds):
            timings = (await bench.run("function process() { KillProcess(1) }")).timings
            startup.append((timings.first_action_ns or 0) - (timings.started_ns or 0))
            actions = (
                await bench.run(f"function process() {{ for (let i = 0; i < {QUERIES_PER_ROUND}; i++) KillTree() }}")
            ).actions
            call += [after.ended_ns - before.ended_ns for before, after in pairwise(actions)]
            actions = (
                await bench.run(f"function process() {{ for (let i = 0; i < {QUERIES_PER_ROUND}; i++) DataGet('x') }}")
            ).actions
            query += [after.ended_ns - before.ended_ns for before, after in pairwise(actions)]
            five = "Info('a'); DataIncr('n'); DataGet('n'); Stat('/'); KillProcess(1)"
            timings = (await bench.run(f"function process() {{ {five} }}")).timings
            whole.append((timings.ended_ns or 0) - timings.queued_ns)
            with subprocess.Popen(["sleep", "60"]) as victim:  # noqa: ASYNC220 -- nothing else runs
                finished = await bench.run("function process() { KillCurrent() }", [live_process(victim.pid)])
                if finished.actions[0].value != 0:
                    raise SystemExit(f"expected a kill, got {finished.actions[0]}")
            kill.append((finished.timings.first_action_ns or 0) - finished.timings.queued_ns)
        await bench.reactions.close()
    print(f"{'microseconds':<48} {'median':>10} {'p99':>10}")
    show("start-up: handed over to first call answered", startup)
    show("helper call, refused at once: round trip", call)
    show("helper call, DataGet: round trip", query)
    show("reaction with five helpers: submitted to ended", whole)
    show("KillCurrent: submitted to victim gone", kill)


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
