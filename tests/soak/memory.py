"""Everything that fills the agent's memory, at once, by a user without privileges: python -m tests.soak.memory SECONDS

Long names and deep directories, opens that match, ever new spellings, processes that stay and such that come and go
with a lot of arguments and environment, connections to many; and nobody reads what the agent prints. What the daemon
has resident, and what its maps take in the kernel, stay below what the documentation promises. The last line says the
most of both.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from raqib.control.steering import resident_bytes
from tests.cgroups import enter, new_cgroup
from tests.e2e.conftest import AgentProcess, recipe
from tests.flooding import NEW_SPELLINGS, NOBODY, ONE_PROCESS, own_directory

MOST_BYTES = 250 << 20
"""Resident in the daemon."""
MOST_MAP_BYTES = 200 << 20
"""In the kernel: what is there at the start, a full `watched`, and 10,000 processes."""
SAMPLE_S = 0.5
READ_BYTES = 4096
"""So much of what is printed is read with each sample."""

DEEP = """
import os, sys
def deep(top):
    for _ in range(12):
        top += "/" + "d" * 250
        os.makedirs(top, exist_ok=True)
        os.chdir(top if len(top) < 4000 else "d" * 250)
    return top
"""

OPENS_THAT_MATCH = f"""{DEEP}
deep(os.getcwd() + "/match")
number = 0
while True:
    name = f"{{number % 100000:05}}" + "n" * 240
    os.close(os.open(name, os.O_CREAT | os.O_RDWR))
    os.unlink(name)
    number += 1
"""
"""Each has a name of more than 3000 bytes."""

SHORT_WITH_ARGUMENTS = """
import os
arguments = ["sh", "-c", ":", *["a" * 1000] * 600]
environment = {f"LD_X{number}": "e" * 1000 for number in range(600)}
while True:
    os.waitpid(os.posix_spawn("./program", arguments, environment), 0)
"""

THAT_STAY = """
import os, signal, sys
reads, writes = os.pipe()
os.dup2(reads, 0)
for number in range(3000):
    if not os.fork():
        os.close(os.open(f"match/{os.getpid()}" + "p" * 200, os.O_CREAT | os.O_WRONLY))
        os.execve("./program", ["sh", "-c", "read x", *["s" * 1000] * 3], {"LD_X": "e" * 3000})
while True:
    signal.pause()
"""

TALKS_TO_MANY = """
import os, socket
number = 0
while True:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        for _ in range(50):
            number += 1
            try:
                one.sendto(b"x", (f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 9))
            except OSError:
                pass
"""

FLOODS = {
    "matching": (OPENS_THAT_MATCH, 2),
    "names": (ONE_PROCESS, 1),
    "spellings": (NEW_SPELLINGS, 1),
    "arguments": (SHORT_WITH_ARGUMENTS, 2),
    "staying": (THAT_STAY, 1),
    "talking": (TALKS_TO_MANY, 1),
}


class Sample(NamedTuple):
    """What the agent takes at a moment."""

    resident: int
    maps: int


def map_bytes(pid: int) -> int:
    """Return what the maps of a process take in the kernel."""
    return sum(maps_of(pid).values())


def maps_of(pid: int) -> dict[str, int]:
    """Return what each map of a process takes in the kernel, by its number."""
    maps: dict[str, int] = {}
    for file in Path(f"/proc/{pid}/fdinfo").iterdir():
        # One that is closed meanwhile is of no map: those stay.
        with contextlib.suppress(FileNotFoundError):
            found = dict(line.split(":", 1) for line in file.read_text().splitlines() if ":" in line)
            if "map_id" in found:
                maps[found["map_id"].strip()] = int(found["memlock"])
    return maps


def write_recipes(directory: Path, place: Path) -> None:
    names = {"mechanism": "file_access", "file_actions": "[open, create, unlink]"}
    reaction = 'function process(data) { DataIncr("n"); data.background.files.root.files.length; }'
    everything = f"[{{dir: '{place}'}}]"
    text = ""
    for name, importance in (("low", "low"), ("high", "high"), ("critical", "critical")):
        text += recipe(f"flood_{name}", patterns=everything, importance=importance, reaction=reaction, **names)
        text += recipe(f"runs_{name}", patterns=everything, importance=importance, reaction=reaction)
    (directory / "flood.yaml").write_text(text)


@contextlib.contextmanager
def floods(place: Path, cgroup: Path, seconds: float) -> Iterator[None]:
    """Let all of them go on; none holds longer than it should, whatever becomes of this."""
    started = []
    as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    try:
        for name, (script, number) in FLOODS.items():
            for index in range(number):
                directory = place / f"{name}{index}"
                for made in (directory, directory / "match"):
                    made.mkdir()
                    os.chown(made, NOBODY, NOBODY)
                (directory / "program").write_bytes(Path("/bin/sh").resolve().read_bytes())
                (directory / "program").chmod(0o755)
                code = f"import signal, sys; signal.alarm({int(seconds) + 60})\n{script}"
                started.append(
                    subprocess.Popen(
                        [*as_nobody, "/usr/bin/python3", "-I", "-c", code, str(1 << 40)],
                        cwd=directory,
                        start_new_session=True,
                        stdin=subprocess.DEVNULL,
                        preexec_fn=lambda: enter(cgroup),
                    )
                )
        yield
        ended = [item_found.args for item_found in started if item_found.poll() is not None]
        assert not ended, f"a flood ended before its time: {ended}"
    finally:
        for item in started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(item.pid, signal.SIGKILL)
            item.wait()


def run(seconds: float, directory: Path, place: Path, cgroup: Path) -> int:
    """Return 0 if the agent stays below what is promised."""
    recipes = directory / "recipes"
    recipes.mkdir()
    write_recipes(recipes, place)
    agent = AgentProcess(directory, 0, cgroup, ["--recipes", str(recipes)])
    agent.wait_ready()
    assert agent.process.stdout is not None
    try:
        samples = []
        with floods(place, cgroup, seconds):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                pid = agent.process.pid
                samples.append(Sample(resident_bytes(pid), map_bytes(pid)))
                if len(samples) % 20 == 1:
                    print(f"resident {samples[-1].resident >> 20} MiB, maps {samples[-1].maps >> 20} MiB", flush=True)
                os.read(agent.process.stdout.fileno(), READ_BYTES)
                time.sleep(SAMPLE_S)
        agent.validates = False
        agent.most_bytes = sys.maxsize
        status = agent.process.poll()
    finally:
        agent.process.kill()
        agent.process.wait()
    resident, maps = max(sample.resident for sample in samples), max(sample.maps for sample in samples)
    first, last = samples[0], samples[-1]
    print(
        f"memory {seconds:.0f} s: resident at most {resident >> 20} MiB (at first {first.resident >> 20}, at last "
        f"{last.resident >> 20}), maps at most {maps >> 20} (at first {first.maps >> 20})"
    )
    return int(resident > MOST_BYTES or maps > MOST_MAP_BYTES or status is not None)


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 300.0
    # What was started is ended, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    with (
        tempfile.TemporaryDirectory(prefix="raqib-memory-", dir="/srv") as directory,
        own_directory() as place,
        new_cgroup("memory") as cgroup,
    ):
        return run(seconds, Path(directory), place, cgroup)


if __name__ == "__main__":
    raise SystemExit(main())
