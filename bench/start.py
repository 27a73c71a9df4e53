"""How long commands take to be there, and the agent to be ready; beside another version of raqib, if one is named.

usage: python -m bench.start [--against SRC] [--runs N]      (SRC: the `src` directory of another checkout, built)

The versions take turns, so that a busy machine is busy for both. Prints one line of JSON with medians in milliseconds:
by the clock, and of processor time with all that was started; `ratio` is ours to the other's. The agent needs root.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

OURS = Path(__file__).parents[1] / "src"
CODE = "from raqib.cli import main; main()"
COMMANDS = ("--help", "--version", "status")

Cost = tuple[float, float]
"""Milliseconds by the clock, and of processor time."""


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def command(source: Path, name: str, directory: Path) -> Cost:
    before, used = time.monotonic(), cpu_s()
    arguments = [name, "--data-dir", str(directory)] if name == "status" else [name]
    subprocess.run(
        [sys.executable, "-c", CODE, *arguments],
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        check=False,
    )
    return (time.monotonic() - before) * 1e3, (cpu_s() - used) * 1e3


def agent(source: Path, directory: Path) -> Cost:
    """Start an agent with the built-in recipes; the processor time is that of its whole short life."""
    before, used = time.monotonic(), cpu_s()
    with subprocess.Popen(
        [sys.executable, "-c", CODE, "run", "--printer", "void", "--data-dir", directory],
        env={**os.environ, "PYTHONPATH": str(source)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("ready: "):
                break
        else:
            raise SystemExit(f"the agent did not become ready: {''.join(said)}")
        took = time.monotonic() - before
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
    return took * 1e3, (cpu_s() - used) * 1e3


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--runs", type=int, default=9)
    wanted = parser.parse_args()
    sources = [OURS, *([wanted.against] if wanted.against else [])]
    names = [*COMMANDS, *(["run"] if os.geteuid() == 0 else [])]
    found: dict[str, list[list[Cost]]] = {name: [[] for _ in sources] for name in names}
    with tempfile.TemporaryDirectory(prefix="raqib-bench-") as directory:
        for _ in range(wanted.runs):
            for name in names:
                for index, source in enumerate(sources):
                    place = Path(directory, f"data{index}")
                    found[name][index].append(agent(source, place) if name == "run" else command(source, name, place))
    result: dict[str, dict[str, float]] = {}
    for name, versions in found.items():
        clock = [median(cost[0] for cost in costs) for costs in versions]
        cpu = [median(cost[1] for cost in costs) for costs in versions]
        result[name] = {"ms": round(clock[0]), "cpu_ms": round(cpu[0])}
        if wanted.against:
            result[name] |= {"other_ms": round(clock[1]), "other_cpu_ms": round(cpu[1])}
            result[name] |= {"ratio": round(clock[0] / clock[1], 2), "cpu_ratio": round(cpu[0] / cpu[1], 2)}
    print(json.dumps({"start": result}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
