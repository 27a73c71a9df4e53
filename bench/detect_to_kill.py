"""How long a program lives whose recipe kills it: from the kernel's event of its execve to its end.

Each of the runs starts a harmless program, one after the other, and takes both times from the kernel: the event's, and
that of the exit in the process map. Prints one line of JSON with the percentiles in milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import quantiles

from raqib.agent.agent import Agent
from raqib.agent.outlets import Hooks
from raqib.agent.reporting import Times
from raqib.agent.stages import Stages
from raqib.config.config import Config, PrintersConfig
from raqib.library.reading import with_checked_reactions
from raqib.model.detection import Detection
from raqib.model.execution import Finished
from raqib.printers import VarlogPrinter
from raqib.reactions import ReactionSettings
from raqib.recipes.load import load_text

RECIPE = """
- kind: bench
  name: bench_kill
  version: "1"
  description: kills what the benchmark starts
  mechanism: execution
  breed: execution
  importance: high
  tactic: impact
  technique: resource_hijacking
  bases: [{dir: "DIRECTORY", base: victim}]
  reactions:
    - format: js
      code: "function process(data) { KillCurrent(); }"
"""

STARTER = """
import subprocess, sys
for line in sys.stdin:
    victim = subprocess.Popen([sys.argv[1], "-c", "read line"], stdin=subprocess.PIPE)
    print(victim.wait(), flush=True)
"""


class Run:
    """The times of one victim, in nanoseconds of CLOCK_BOOTTIME."""

    def __init__(self, detection: Detection, times: Times) -> None:
        self.key = detection.process.key
        self.times = times
        self.started_ns = 0
        self.exit_ns = 0


async def measure(runs: int, directory: Path) -> list[Run]:
    """Return the runs."""
    shutil.copy("/bin/sh", directory / "victim")
    recipes, problems = with_checked_reactions(load_text(RECIPE.replace("DIRECTORY", str(directory)), "bench").recipes)
    assert not problems, problems
    ready: asyncio.Future[Stages] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()
    done: list[Run] = []

    def detected(detection: Detection, times: Times) -> None:
        done.append(Run(detection, times))

    def reacted(finished: Finished) -> None:
        done[-1].started_ns = finished.timings.started_ns or 0
        over.set()

    agent = Agent(
        Config(
            data_dir=directory / "data",
            reactions=ReactionSettings(kills_per_minute=100_000),
            printers=PrintersConfig(each=True),
        ),
        recipes,
        printers=[VarlogPrinter(directory / "events.jsonl")],
        hooks=Hooks(on_detection=detected, on_finished=reacted, on_log=lambda line: print(line.text, file=sys.stderr)),
        on_ready=ready.set_result,
    )
    running = asyncio.create_task(agent.run())
    stages = await ready
    # Another process starts them: what that takes is not the agent's time.
    starter = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        STARTER,
        directory / "victim",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert starter.stdin is not None
    assert starter.stdout is not None
    for _ in range(runs):
        over.clear()
        await stages.workers_ready()
        starter.stdin.write(b"\n")
        assert await asyncio.wait_for(starter.stdout.readline(), 10) == b"-9\n"
        await over.wait()
        ended = stages.process(done[-1].key)
        assert ended is not None
        assert ended.exit_ns is not None
        done[-1].exit_ns = ended.exit_ns
    starter.stdin.close()
    await starter.wait()
    agent.stop()
    await running
    return done


def summary(runs: list[Run]) -> dict[str, dict[str, float]]:
    """Return percentiles of each step since the kernel's event, in milliseconds."""
    steps = {
        "matched": [run.times.matched_ns - run.times.seen_ns for run in runs],
        "printed": [run.times.printed_ns - run.times.seen_ns for run in runs],
        "reaction started": [run.started_ns - run.times.seen_ns for run in runs],
        "killed": [run.exit_ns - run.times.seen_ns for run in runs],
    }
    return {name: _percentiles(values) for name, values in steps.items()}


def _percentiles(values: list[int]) -> dict[str, float]:
    cuts = quantiles(values, n=100, method="inclusive")
    return {name: round(cuts[at] / 1e6, 3) for name, at in (("p50", 49), ("p90", 89), ("p99", 98))}


def main(runs: int = 200) -> None:
    """Print the result."""
    directory = Path(tempfile.mkdtemp(prefix="raqib-bench-")).resolve()
    try:
        result = summary(asyncio.run(measure(runs, directory)))
    finally:
        shutil.rmtree(directory)
    print(json.dumps({"detect_to_kill_ms": {"runs": runs, **result}}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
