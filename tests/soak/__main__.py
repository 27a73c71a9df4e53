"""Lets an agent run under mixed work: python -m tests.soak SECONDS

At the end: memory and descriptors are what they were after the first quarter, what was done was told of or counted as
lost, the maps in the kernel hold no more than what runs, and nothing is left behind. The last line says all of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import NamedTuple

from raqib.control.steering import resident_bytes
from tests.cgroups import enter, new_cgroup
from tests.e2e.conftest import RAQIB, AgentProcess, recipe

ROOT = Path(__file__).parents[2]
SAMPLE_S = 60.0
LEAST_SAMPLES = 8
"""Quarters of them are compared."""
MOST_GROWTH = 0.05
SLACK_BYTES = 8 << 20
SLACK_DESCRIPTORS = 4
RELOAD_EVERY = 4
"""In samples."""

SENSOR_MAPS = ("processes", "watched")


class Sample(NamedTuple):
    """How the agent is at a moment."""

    agent_bytes: int
    workers_bytes: int
    descriptors: int
    threads: int
    map_entries: int


def status(agent: AgentProcess) -> dict:  # type: ignore[type-arg]
    told = subprocess.run(
        [RAQIB, "status", "--json", "--data-dir", agent.data_dir], capture_output=True, text=True, check=True
    )
    return json.loads(told.stdout)  # type: ignore[no-any-return]


def map_entries(pid: int) -> int:
    """Return how many entries the maps of that agent hold that are about processes and their files."""
    ids = set[str]()
    for file in Path(f"/proc/{pid}/fdinfo").iterdir():
        # One that is closed meanwhile is of no map: those stay.
        with contextlib.suppress(FileNotFoundError):
            lines = [line.split() for line in file.read_text().splitlines()]
            ids.update(words[1] for words in lines if words[0] == "map_id:")
    count = 0
    for map_id in ids:
        shown = json.loads(subprocess.run(["bpftool", "-j", "map", "show", "id", map_id], capture_output=True).stdout)
        if shown.get("name") in SENSOR_MAPS:
            dumped = subprocess.run(["bpftool", "-j", "map", "dump", "id", map_id], capture_output=True, check=True)
            count += len(json.loads(dumped.stdout))
    return count


def sample(agent: AgentProcess) -> Sample:
    pid = agent.process.pid
    workers = status(agent)["workers"]["pids"]
    return Sample(
        agent_bytes=resident_bytes(pid),
        workers_bytes=sum(map(resident_bytes, workers)),
        descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        threads=len(list(Path(f"/proc/{pid}/task").iterdir())),
        map_entries=map_entries(pid),
    )


def growth(samples: list[Sample]) -> list[str]:
    """Compare the second quarter with the last one; return what has grown."""
    quarter = len(samples) // 4
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    grown = []
    for field, slack in (
        ("agent_bytes", SLACK_BYTES),
        ("workers_bytes", SLACK_BYTES),
        ("descriptors", SLACK_DESCRIPTORS),
        ("threads", SLACK_DESCRIPTORS),
    ):
        before, after = (median(getattr(item, field) for item in some) for some in (early, late))
        if after > before * (1 + MOST_GROWTH) + slack:
            grown.append(f"{field} grew from {before} to {after}")
    return grown


def lost(told: dict) -> dict[str, int]:  # type: ignore[type-arg]
    """Return what the sensors counted as lost."""
    found = {}
    for sensor, counters in told["sensors"].items():
        for name, value in counters.items() if isinstance(counters, dict) else ():
            if isinstance(value, int) and value and name.startswith(("lost", "drop")):
                found[f"{sensor}.{name}"] = value
    return found


class Soak:
    """An agent, its load, and what was told."""

    def __init__(self, directory: Path, cgroup: Path) -> None:
        self.bait = directory / "bait"
        self.bait.write_text("bait")
        self.victim = directory / "victim"
        shutil.copy(Path("/bin/sh").resolve(), self.victim)
        (directory / "churn").mkdir()
        self.recipes = directory / "recipes"
        self.recipes.mkdir()
        self.write_recipes(0)
        self.agent = AgentProcess(directory, 0, cgroup, ["--each", "--recipes", str(self.recipes)])
        self.agent.validates = False
        self.agent.wait_ready()
        words: list[str | Path] = [sys.executable, "-m", "tests.soak.load", self.bait, self.victim, directory / "churn"]
        self.load = subprocess.Popen(
            words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=lambda: enter(cgroup)
        )
        self.done: dict[str, int] = {}
        self.told: Counter[str] = Counter()
        self._said = b""

    def write_recipes(self, number: int) -> None:
        """Change a recipe, which the agent then reloads."""
        here = self.bait.parent
        text = (
            recipe(
                "bait",
                patterns=f"[{{dir: '{here}', base: bait}}]",
                mechanism="file_access",
                file_actions="[open]",
                reaction='function process(data) { DataIncr("opened"); }',
            )
            + recipe(
                "victim",
                patterns=f"[{{dir: '{here}', base: victim}}]",
                reaction="function process(data) { KillCurrent(); }",
                limits="{kills_per_minute: 1000}",
            )
            + recipe("other", patterns=f"[{{dir: '{here}', base: other{number}}}]")
        )
        new = self.recipes / ".new"
        new.write_text(text)
        new.rename(self.recipes / "soak.yaml")

    def read(self, duration_s: float) -> None:
        """Take what the agent and the load say in a time."""
        assert self.load.stdout is not None
        deadline = time.monotonic() + duration_s
        while (left := deadline - time.monotonic()) > 0:
            self.agent.read_for(min(left, 0.5))
            for event in self.agent.events:
                self.told[f"{event['metadata']['name']}.{event['event_type']}"] += 1
            self.agent.events.clear()
            while select.select([self.load.stdout], [], [], 0)[0]:
                chunk = os.read(self.load.stdout.fileno(), 1 << 16)
                if not chunk:
                    return
                *lines, self._said = (self._said + chunk).split(b"\n")
                if lines:
                    self.done = json.loads(lines[-1])

    def expected(self) -> dict[str, int]:
        """Return how often something has to be told by now."""
        return {
            "bait.file_access": self.done["opened"],
            "bait.outcome": self.done["opened"],
            "victim.execution": self.done["started"],
            "victim.outcome": self.done["started"],
        }

    def end_load(self, patience_s: float = 60.0) -> None:
        """End the load, and take what is told of it."""
        assert self.load.stdin is not None
        assert self.load.stdout is not None
        self.load.stdin.close()
        while self.load.poll() is None:
            self.read(0.2)
        self.read(0.2)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline and any(self.told[name] < number for name, number in self.expected().items()):
            self.read(0.2)
        self.load.stdout.close()

    def kill(self) -> None:
        """End what still runs."""
        for process in (self.load, self.agent.process):
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()


def run(seconds: float, directory: Path, cgroup: Path) -> list[str]:
    """Soak; return what is not as it should be, and print the numbers."""
    soak = Soak(directory, cgroup)
    try:
        samples: list[Sample] = []
        count = max(LEAST_SAMPLES, int(seconds / SAMPLE_S))
        for number in range(count):
            soak.read(seconds / count)
            if number % RELOAD_EVERY == RELOAD_EVERY - 1:
                soak.write_recipes(number)
            samples.append(sample(soak.agent))
            print(f"{number + 1}/{count} {samples[-1]._asdict()} {soak.done}", flush=True)
        soak.end_load()
        told = status(soak.agent)
        problems = growth(samples)
        counted = lost(told)
        for name, expected in soak.expected().items():
            if soak.told[name] > expected or soak.told[name] + sum(counted.values()) < expected:
                problems.append(f"expected {name} {expected} times, told {soak.told[name]} times; lost: {counted}")
        if soak.done["killed"] != soak.done["started"]:
            problems.append(f"expected every victim killed, found {soak.done}")
        if (ended := soak.agent.stop()) != 0:
            problems.append(f"expected exit status 0, found {ended}")
        print(
            f"soak {seconds:.0f} s: {soak.done}, lost {counted}, agent {samples[-1].agent_bytes >> 20} MiB, "
            f"{samples[-1].descriptors} descriptors, {samples[-1].map_entries} entries in maps"
        )
        return problems
    finally:
        soak.kill()


def main() -> int:
    """Return 0 if all held."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3600.0
    # What was started is ended, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="raqib-soak-", dir="/srv") as directory, new_cgroup("soak") as cgroup:
        problems = run(seconds, Path(directory), cgroup)
    for problem in problems:
        print(f"soak: {problem}")
    return int(bool(problems))


if __name__ == "__main__":
    raise SystemExit(main())
