"""The built-in recipes on the live kernel: quiet when nothing happens, and seen when the thing is really done."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.e2e.conftest import PATIENCE_S, AgentProcess, Event

RunAgent = Callable[..., AgentProcess]

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


def test_nothing_grave_is_said_of_an_idle_machine(run_agent: RunAgent) -> None:
    agent = run_agent(None, "--duration", "5")
    assert 0 == agent.process.wait(PATIENCE_S)
    assert 0 == agent.stop()
    assert [] == [event for event in agent.events if is_grave(event)]


def test_a_scanner_is_seen_and_its_near_miss_is_not(run_agent: RunAgent, tmp_path: Path) -> None:
    agent = run_agent(None)
    for name in ("nmapp", "nmap"):
        shutil.copy(Path("/bin/true").resolve(), tmp_path / name)
        subprocess.run([tmp_path / name], check=True)
    agent.read(lambda events: any(event["metadata"]["kind"] == "net_scan_tool_exec" for event in events))
    assert 0 == agent.stop()
    scans = [event for event in agent.events if event["metadata"]["kind"] == "net_scan_tool_exec"]
    assert [str(tmp_path / "nmap")] == [event["file"]["path"] for event in scans]
    assert "execution" == scans[0]["event_type"]


def test_a_change_of_sudoers_in_a_mount_namespace_is_seen(run_agent: RunAgent, tmp_path: Path) -> None:
    agent = run_agent(None)
    subprocess.run(["unshare", "-m", "sh", "-c", SUDOERS, "sh", tmp_path], check=True)
    agent.read(lambda events: any(event["metadata"]["kind"] == "sudoers_modification" for event in events))
    assert 0 == agent.stop()
    changes = [event for event in agent.events if event["metadata"]["kind"] == "sudoers_modification"]
    assert "/etc/sudoers.d/raqib-test" in [event["file"]["path"] for event in changes]
    assert not Path("/etc/sudoers.d/raqib-test").exists()
