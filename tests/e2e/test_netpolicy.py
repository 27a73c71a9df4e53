"""A network policy as an administrator has it: a file, an agent that may be restarted, and `raqib blocks`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cgroups import new_cgroup
from tests.e2e.conftest import PATIENCE_S, RAQIB, AgentProcess
from tests.kernel.net.lab import IPV4, IPV6, Lab

WEB4, WEB6 = IPV4["web"], IPV6["web"]


@pytest.fixture(scope="module")
def module_lab() -> Iterator[Lab]:
    with new_cgroup("policy") as cgroup:
        lab = Lab(cgroup)
        yield lab
        lab.close()


@pytest.fixture
def lab(module_lab: Lab) -> Lab:
    module_lab.answers(
        web__test=[["A", WEB4, 300]], good__example=[["A", WEB4, 300]], other__example=[["AAAA", WEB6, 300]]
    )
    return module_lab


@pytest.fixture
def cgroup(lab: Lab) -> Path:
    return lab.cgroup


class Configured:
    """A configuration with a policy, and the commands that use it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pins = Path(f"/sys/fs/bpf/raqib-e2e-{os.getpid()}")

    def write(self, policy: str) -> None:
        lines = "".join(f"  {line}\n" for line in policy.strip().splitlines())
        new = self.path.with_suffix(".new")
        new.write_text(
            f"network: {{pin_dir: {self.pins}, resolvers: [{IPV4['dns']}], protected_cidrs: [203.0.113.0/24]}}\n"
            f"network_policy:\n{lines}"
        )
        new.rename(self.path)

    def raqib(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [RAQIB, *words, "--config", self.path], capture_output=True, text=True, timeout=60, check=False
        )

    def blocks(self) -> list[dict[str, Any]]:
        listed = self.raqib("blocks", "--json")
        assert 0 == listed.returncode, listed.stderr
        found: list[dict[str, Any]] = json.loads(listed.stdout)
        return found


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[Configured]:
    made = Configured(tmp_path / "config.yaml")
    made.write("rules: []")
    yield made
    assert 0 == made.raqib("blocks", "off").returncode
    assert not made.pins.exists()


Run = Callable[..., AgentProcess]


def started(run_agent: Run, configured: Configured) -> AgentProcess:
    return run_agent("[]", "--config", str(configured.path))


def wait(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if condition():
            return True
    return False


def test_events_of_what_is_denied(lab: Lab, run_agent: Run, configured: Configured) -> None:
    configured.write("resolve_mode: alert\nrules: [{domain: web.test, policy: deny}]")
    agent = started(run_agent, configured)
    assert [WEB4] == lab.client.ask("resolve", name="good.example")
    assert [WEB4] == lab.client.ask("resolve", name="web.test")
    assert "unreachable" == lab.client.ask("tcp", address=WEB4)
    agent.read(lambda events: {"dropip", "dropdomain"} <= {event["event_type"] for event in events})
    asked, dropped = agent.of("dropdomain")[0], agent.of("dropip")[0]
    pid = lab.client.ask("pid")
    assert [pid, pid] == [asked["process"]["pid"], dropped["process"]["pid"]]
    assert ["web.test"] == asked["names"]
    assert (IPV4["dns"], 53, "udp") == (
        asked["flow"]["remote"]["address"],
        asked["flow"]["remote"]["port"],
        asked["flow"]["proto"],
    )
    assert "reported only, not dropped" == asked["note"]
    assert "domain: web.test, policy: deny" == dropped["rule"] == asked["rule"]
    assert WEB4 == dropped["flow"]["remote"]["address"]
    assert {"web.test", "good.example"} == set(dropped["names"])
    assert ["good.example"] == dropped["shared_with"]
    assert 1 == dropped["count"]
    assert pid == dropped["background"]["ancestry"][-1]["pid"]
    assert 0 == agent.stop()


def test_a_changed_file_is_in_force_and_a_bad_one_is_not(lab: Lab, run_agent: Run, configured: Configured) -> None:
    agent = started(run_agent, configured)
    assert "hello" == lab.client.ask("tcp", address=WEB4)
    configured.write(f"rules: [{{cidr: {WEB4}, policy: deny}}]")
    assert wait(lambda: "unreachable" == lab.client.ask("tcp", address=WEB4))
    configured.write("rules:\n- {cidr: 10.0.0.0/8, policy: allow}\n- {cidr: 10.99.3.300, policy: allow}")
    assert wait(lambda: "the last good one stays in force" in agent.logged())
    assert f"{configured.path}:5: network_policy: $.network_policy.rules[1].cidr: expected an address" in agent.logged()
    assert "unreachable" == lab.client.ask("tcp", address=WEB4)
    configured.write("rules: []")
    assert wait(lambda: "hello" == lab.client.ask("tcp", address=WEB4))


def test_status_tells_what_is_in_force(run_agent: Run, configured: Configured) -> None:
    rules = "[{cidr: 198.51.100.128/25, policy: deny}, {domain: bad.test, policy: deny}]"
    configured.write(f"cidr_mode: enforce\nrules: {rules}")
    agent = started(run_agent, configured)
    here = ("--data-dir", str(agent.data_dir))
    for words in (("198.51.100.1", "--for", "1h"), ("198.51.100.2",), ("worse.test", "--for", "1h")):
        assert 0 == configured.raqib("blocks", "add", *words).returncode
    again = configured.raqib("blocks", "add", "198.51.100.1", "--for", "2h30m")
    assert "was blocked already; it ends 20" in again.stdout
    assert "renewed 1 time\n" in again.stdout
    status = json.loads(configured.raqib("status", "--json", *here).stdout)
    assert {
        "file": str(configured.path),
        "off": False,
        "cidr_mode": "enforce",
        "cidr_policy": "allow",
        "cidr_rules": 1,
        "resolve_mode": "bypass",
        "resolve_policy": "allow",
        "domain_rules": 1,
        "blocks": {"networks": 2, "domains": 1, "ending": 2},
    } == status["policy"]
    assert status["network"]["lost_sockets"] >= 0
    text = configured.raqib("status", *here).stdout
    assert "blocks     2 networks, 1 domain, 2 of them end by themselves\n" in text
    assert [1, 0, 0] == [block["renewals"] for block in configured.blocks()]
    assert configured.blocks() == configured.blocks()
    assert 0 == configured.raqib("blocks", "off").returncode


def test_a_bad_file_is_told_before_anything_runs(run_agent: Run, configured: Configured, lab: Lab) -> None:
    configured.write("rules: [{cidr: nonsense, policy: deny}]")
    done = subprocess.run([RAQIB, "check", configured.path], capture_output=True, text=True, check=False)
    assert (1, True) == (done.returncode, "expected an address or a network" in done.stdout)
    ran = configured.raqib(
        "run", "--no-builtin", "--cgroup", str(lab.cgroup), "--data-dir", str(configured.path.parent)
    )
    assert 2 == ran.returncode
    assert "expected an address or a network" in ran.stderr
    assert not configured.pins.exists()


def test_a_policy_that_cuts_the_host_off_is_refused(configured: Configured, lab: Lab) -> None:
    configured.write(f"rules: [{{cidr: {IPV4['dns']}, policy: deny}}]")
    arguments = ("run", "--no-builtin", "--cgroup", str(lab.cgroup), "--data-dir", str(configured.path.parent))
    ran = configured.raqib(*arguments)
    assert 2 == ran.returncode
    assert f"{IPV4['dns']} (a resolver)" in ran.stderr
    configured.write(f"i_know: true\nrules: [{{cidr: {IPV4['dns']}, policy: deny}}]")
    assert 0 == configured.raqib(*arguments, "--duration", "0.1").returncode


def test_blocks_of_the_administrator(lab: Lab, run_agent: Run, configured: Configured) -> None:
    agent = started(run_agent, configured)
    client = lab.new_client()
    client.ask("opened", key="open", address=WEB6, port=80)
    assert 0 == configured.raqib("blocks", "add", WEB6, "--reason", "a test").returncode
    assert "ConnectionAbortedError" == client.ask("hello", key="open")
    assert 0 == configured.raqib("blocks", "add", "web.test", "--for", "600").returncode
    assert [] == [block for block in configured.blocks() if block["owner"] != "administrator"]
    assert [(WEB6, "a test", True), ("web.test", "", False)] == [
        (block["target"], block["reason"], block["end"] is None) for block in configured.blocks()
    ]
    assert "unreachable" == lab.client.ask("tcp", address=WEB6)
    assert "unreachable" == lab.client.ask("resolve", name="web.test")
    agent.read(lambda events: any(event["event_type"] == "dropip" for event in events))
    assert f"block of {WEB6} by administrator: a test" == agent.of("dropip")[0]["rule"]
    for refused in ("127.0.0.1", "203.0.113.9", IPV4["dns"], "0.0.0.0/0", "com"):
        done = configured.raqib("blocks", "add", refused)
        assert (1, "not blocked" in done.stderr or "too wide" in done.stderr) == (done.returncode, True), done.stderr
    assert 0 == configured.raqib("blocks", "remove", WEB6).returncode
    assert 1 == configured.raqib("blocks", "remove", WEB6).returncode
    assert 0 == configured.raqib("blocks", "remove", "web.test").returncode
    assert "hello" == lab.client.ask("tcp", address=WEB6)
    assert [WEB4] == lab.client.ask("resolve", name="web.test")


def test_what_a_blocked_domain_was_resolved_to_before(lab: Lab, run_agent: Run, configured: Configured) -> None:
    agent = started(run_agent, configured)
    assert [WEB4] == lab.client.ask("resolve", name="web.test")
    client = lab.new_client()
    client.ask("opened", key="open", address=WEB4, port=80)
    done = configured.raqib("blocks", "add", "web.test")
    assert (0, True) == (done.returncode, "resolved to before" in done.stderr)
    assert wait(lambda: "unreachable" == lab.client.ask("tcp", address=WEB4))
    assert "ConnectionAbortedError" == client.ask("hello", key="open")
    assert 0 == configured.raqib("blocks", "remove", "web.test").returncode
    assert "hello" == lab.client.ask("tcp", address=WEB4)
    assert 0 == agent.stop()


def test_blocks_survive_the_agent(lab: Lab, run_agent: Run, configured: Configured) -> None:
    configured.write(f"rules: [{{cidr: {WEB4}, policy: deny}}]")
    agent = started(run_agent, configured)
    assert 0 == configured.raqib("blocks", "add", WEB6).returncode
    assert -signal.SIGKILL == agent.stop(signal.SIGKILL)
    for address in (WEB4, WEB6):
        assert "unreachable" == lab.client.ask("tcp", address=address)
    assert [WEB6] == [block["target"] for block in configured.blocks()]
    again = started(run_agent, configured)
    assert "unreachable" == lab.client.ask("tcp", address=WEB6)
    assert [WEB6] == [block["target"] for block in configured.blocks()]
    assert 0 == configured.raqib("blocks", "off").returncode
    for address in (WEB4, WEB6):
        assert "hello" == lab.client.ask("tcp", address=address)
    assert 0 == again.stop()
