"""The built-in recipes on the live kernel: quiet when nothing happens, and seen when the thing is really done."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.e2e.conftest import PATIENCE_S, AgentProcess, Event
from tests.e2e.library.stage import is_below

RunAgent = Callable[..., AgentProcess]

AT_REST = """
for _ in 1 2 3 4; do
    uptime >> "$1"
    ps ax > /dev/null
    sleep 0.5
done
"""

SUDOERS = """
set -e
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work"
mount -t overlay overlay -o lowerdir=/etc,upperdir="$1/upper",workdir="$1/work" /etc
mkdir -p /etc/sudoers.d
echo '# nothing' > /etc/sudoers.d/raqib-test
"""


def is_grave(event: Event) -> bool:
    return event["metadata"].get("importance") in ("high", "critical")


def is_own(event: Event) -> bool:
    """Tell whether this process, or what it started, did it: anybody else may do what is grave meanwhile."""
    return is_below(event, os.getpid())


def test_nothing_grave_is_said_of_an_idle_machine(run_agent: RunAgent, tmp_path: Path) -> None:
    agent = run_agent(None)
    subprocess.run(["sh", "-c", AT_REST, "sh", tmp_path / "log"], check=True)
    scanner = tmp_path / "nmap"
    shutil.copy(Path("/bin/true").resolve(), scanner)
    subprocess.run([scanner], check=True)
    agent.read(lambda events: any(is_own(event) and is_grave(event) for event in events))
    assert 0 == agent.stop()
    assert {str(scanner)} == {event["process"]["exe"] for event in agent.events if is_own(event) and is_grave(event)}


def test_it_ends_by_itself(run_agent: RunAgent) -> None:
    agent = run_agent(None, "--duration", "1")
    assert 0 == agent.process.wait(PATIENCE_S)


def test_a_scanner_is_seen_and_its_near_miss_is_not(run_agent: RunAgent, tmp_path: Path) -> None:
    agent = run_agent(None)
    for name in ("nmapp", "nmap"):
        shutil.copy(Path("/bin/true").resolve(), tmp_path / name)
        subprocess.run([tmp_path / name], check=True)

    def scans() -> list[Event]:
        return [event for event in agent.events if event["metadata"]["kind"] == "net_scan_tool_exec" and is_own(event)]

    agent.read(lambda events: bool(scans()))
    assert 0 == agent.stop()
    assert [str(tmp_path / "nmap")] == [event["file"]["path"] for event in scans()]
    assert "execution" == scans()[0]["event_type"]


def test_a_change_of_sudoers_in_a_mount_namespace_is_seen(run_agent: RunAgent, tmp_path: Path) -> None:
    agent = run_agent(None)
    subprocess.run(["unshare", "-m", "sh", "-c", SUDOERS, "sh", tmp_path], check=True)
    agent.read(
        lambda events: any(event["metadata"]["kind"] == "sudoers_modification" and is_own(event) for event in events)
    )
    assert 0 == agent.stop()
    changes = [event for event in agent.events if event["metadata"]["kind"] == "sudoers_modification"]
    assert "/etc/sudoers.d/raqib-test" in [event["file"]["path"] for event in changes]
    assert not Path("/etc/sudoers.d/raqib-test").exists()
