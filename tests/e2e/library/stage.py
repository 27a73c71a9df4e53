"""Where deeds are done: a private mount namespace, so that nothing of the machine's own is changed.

A deed is a shell script. It may `cover` a directory, which then shows what it showed before but keeps nothing, `blank`
one, which is then empty, and make a `program`: a copy of a harmless one under another name. For a file of the kernel's
that this kernel does not have, /dev/null can `stand_in`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.conftest import AgentProcess, Event

PATIENCE_S = 100.0

PROLOGUE = """\
set -eu
[ "$(readlink /proc/self/ns/mnt)" != "$OUTSIDE" ]
mount -t tmpfs none "$STAGE"
covered=0
cover() {
    covered=$((covered + 1))
    mkdir "$STAGE/.upper$covered" "$STAGE/.work$covered"
    mount -t overlay -o "lowerdir=$1,upperdir=$STAGE/.upper$covered,workdir=$STAGE/.work$covered" overlay "$1"
}
blank() { mount -t tmpfs none "$1"; }
stand_in() { [ -e "$1" ] || { blank "${1%/*}"; mknod "$1" c 1 3; }; }
program() { cp "$(readlink -f "${2:-/bin/true}")" "$1"; }
"""


class Deed(NamedTuple):
    """A recipe, what it shall see, and what is like it and shall not be seen by any recipe of the same kind."""

    recipe: str
    does: str
    near_miss: str
    path: str = ""
    """What the path of the file in the event ends in."""


class Stage:
    """Does deeds below one agent."""

    def __init__(self, agent: AgentProcess, directory: Path) -> None:
        self._agent = agent
        self._directory = directory
        (directory / "stage").mkdir()

    def perform(self, script: str, patience_s: float = PATIENCE_S, **variables: str) -> int:
        """Do it to its end; return the process id at which everything that it starts begins."""
        file = self._directory / "deed.sh"
        file.write_text(PROLOGUE + script)
        environment = {
            **os.environ,
            **variables,
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C",
            "STAGE": str(self._directory / "stage"),
            "OUTSIDE": str(Path("/proc/self/ns/mnt").readlink()),
            "PYTHON": sys.executable,
        }
        with subprocess.Popen(
            ["unshare", "-m", "sh", file],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            said, _ = process.communicate(timeout=patience_s)
        assert 0 == process.returncode, f"the deed could not be done: {said.decode()}\n{script}"
        return process.pid

    def seen(self, root: int) -> list[Event]:
        """Return all that is said of a process and what it started, which must have ended."""
        after = self.perform("blank /opt; program /opt/nmap; /opt/nmap")
        self._agent.read(lambda events: any(is_below(event, after) for event in events[-50:]), PATIENCE_S)
        return [event for event in self._agent.events if is_below(event, root)]

    def prove(self, deed: Deed) -> None:
        """Do the near miss, then the deed: the deed's event has to come, and no other one before it.

        Events come in the order of what they tell of, so that what the near miss would have caused must be there too.
        """
        quiet = self.perform(deed.near_miss)
        loud = self.perform(deed.does)
        self._agent.read(lambda events: any(is_of(event, deed, loud) for event in events[-50:]), PATIENCE_S)
        kinds = {event["metadata"]["kind"] for event in self._agent.of(deed.recipe)}
        said = [event for event in self._agent.events if event["metadata"]["kind"] in kinds and is_below(event, quiet)]
        if said:
            pytest.fail(f"the near miss of {deed.recipe} was seen: {[summary(event) for event in said]}")


def is_of(event: Event, deed: Deed, root: int) -> bool:
    return (
        event["metadata"]["name"] == deed.recipe
        and is_below(event, root)
        and event.get("file", {}).get("path", "").endswith(deed.path)
    )


def is_below(event: Event, root: int) -> bool:
    """Tell whether the process of an event is the one of that id, or was started by it."""
    ancestry = event.get("background", {}).get("ancestry", [])
    return any(process.get("pid") == root for process in (*ancestry, event.get("process", {})))


def summary(event: Event) -> str:
    process = event.get("process", {})
    return (
        f"{event['metadata']['name']}: {process.get('cmd')} ({process.get('exe')}) {event.get('file', {}).get('path')}"
    )
