"""Reactions that block: the helpers of the network through a running agent, and servers that count what comes."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PATIENCE_S, RAQIB, AgentProcess, recipe
from tests.kernel.net.lab import IPV4, IPV6, Actor, Lab

WEB4, WEB6 = IPV4["web"], IPV6["web"]
DNS = IPV4["dns"]
Agent = Callable[[str], AgentProcess]


def about(*, name: str = "talks", reaction: str, **fields: str) -> str:
    """Return a recipe about who talks to the web servers' port 81."""
    fields = {"breed": "remote_cidrs", "flow_actions": "outgoing", "remote_port": "81", **fields}
    if not fields.keys() & {"remote_cidrs", "remote_domains"}:
        fields["remote_cidrs"] = "[10.99.3.0/24, 'fd99:3::/64']"
    whole = recipe(name, patterns="@", reaction=reaction, mechanism="network_peers", **fields)
    return whole.replace("  bases: @\n", "")


@pytest.fixture
def agent(lab: Lab, tmp_path: Path) -> Iterator[Agent]:
    """Starts an agent whose network is that of the lab's client; what it pinned goes with the test."""
    pins = Path("/sys/fs/bpf") / f"raqib-{tmp_path.name}-{id(lab)}"
    config = tmp_path / "config.yaml"
    config.write_text(
        json.dumps({"network": {"enforce": True, "pin_dir": str(pins), "resolvers": [DNS], "protected_cidrs": [DNS]}})
    )
    directory = tmp_path / "recipes"
    directory.mkdir()
    started: list[AgentProcess] = []

    def start(text: str) -> AgentProcess:
        (directory / "test.yaml").write_text(text)
        options = ["--each", "--config", str(config), "--no-builtin", "--recipes", str(directory)]
        started.append(AgentProcess(tmp_path, len(started), lab.cgroup, options))
        started[-1].wait_ready()
        return started[-1]

    yield start
    for process in started:
        if process.process.poll() is None:
            process.stop()
        assert process.process.stdout is not None
        process.process.stdout.close()
    raqib("blocks", "off", "--config", config)
    assert not pins.exists()


@pytest.fixture
def client(lab: Lab) -> Iterator[Actor]:
    """A process of the client of its own, which ends with the test."""
    with closing(lab.new_client()) as made:
        yield made


def raqib(*words: str | Path) -> str:
    return subprocess.run([RAQIB, *words], check=True, capture_output=True, text=True).stdout


def said(agent: AgentProcess, count: int = 1, lines: int | None = None) -> list[Any]:
    """Return what so many reactions have logged as JSON, a line each if not told otherwise."""
    agent.read(lambda events: len(agent.of("talks", "outcome")) >= count)
    # The log is written by a thread of its own.
    deadline = time.monotonic() + PATIENCE_S
    while True:
        logged = [json.loads(line) for line in agent.logged().splitlines(keepends=True) if line.endswith("\n")]
        found = [json.loads(line["event"]) for line in logged if str(line.get("event", "")).startswith("[")]
        if len(found) >= (count if lines is None else lines) or time.monotonic() > deadline:
            return found


@pytest.mark.parametrize("address", [WEB4, WEB6], ids=["ipv4", "ipv6"])
def test_without_argument_what_the_process_talked_to_is_blocked(
    lab: Lab, client: Actor, agent: Agent, address: str, tmp_path: Path
) -> None:
    running = agent(
        about(reaction="function process(data) { Info(JSON.stringify([NetBlockIp(), NetBlockIp(), Errno()])); }")
    )
    with suppress(AssertionError):  # it may be cut before the server's greeting is there
        client.ask("opened", key="one", address=address)
    assert [[0, 1, "it was blocked already"]] == said(running)
    # The one packet that still leaves is its end.
    with suppress(AssertionError):
        assert "hello" != client.ask("hello", key="one")
    assert "unreachable" == lab.client.ask("tcp", address=address)
    with lab.count("web") as came:
        assert "unreachable" == lab.client.ask("tcp", address=address)
        assert "unreachable" == lab.client.ask("udp", address=address)
        assert not lab.client.ask("ping", address=address)
    assert [0] == came
    config = tmp_path / "config.yaml"
    [block] = json.loads(raqib("blocks", "--json", "--config", config))
    assert (address, "talks") == (block["target"], block["owner"])
    assert running.of("talks", "network_peer")[0]["uuid"] in block["reason"]
    # It is the one address: the other family still answers.
    other = WEB6 if address == WEB4 else WEB4
    assert "hello" == lab.client.ask("tcp", address=other)
    [line] = [entry for entry in running.ledger() if entry["action"] == "NetBlockIp" and entry["result"] == 0]
    assert [address] == line["arguments"]["blocked"]
    raqib("undo", str(line["seq"]), "--data-dir", running.data_dir)
    assert "hello" == lab.client.ask("tcp", address=address)
    assert 0 == running.stop()


def test_guards_refuse_and_say_why(lab: Lab, client: Actor, agent: Agent) -> None:
    tried = ["127.0.0.1", "::1", "10.0.0.0/8", "0.0.0.0/0", DNS, "10.99.2.0/24", "no address", "1.2.3.4/33"]
    code = f"""
        function process(data) {{
          for (const one of {json.dumps(tried)}) Info(JSON.stringify(["ip", one, NetBlockIp(one), Errno()]));
          for (const one of [undefined, null, ""]) Info(JSON.stringify(["ip", "", NetBlockIp(one), Errno()]));
          Info(JSON.stringify(["domain", "com", NetBlockDomain("com"), Errno()]));
          Info(JSON.stringify(["time", "", NetBlockIpTimer("192.0.2.1", 0), Errno()]));
          Info(JSON.stringify(["time", "", NetBlockIpTimer("192.0.2.1", 1e300), Errno()]));
          Info(JSON.stringify(["un", "", NetUnblockIp("192.0.2.1"), Errno()]));
        }}
    """
    running = agent(about(reaction=code))
    assert client.ask("opened", key="one", address=WEB4)
    answers = said(running, lines=len(tried) + 7)
    assert [-1] * (len(tried) + 6) + [1] == [answer[2] for answer in answers]
    assert all(answer[3] for answer in answers)
    reasons = {answer[1]: answer[3] for answer in answers if answer[0] == "ip"}
    assert "is loopback" in reasons["127.0.0.1"]
    assert "is too wide" in reasons["10.0.0.0/8"]
    assert "a resolver of this host" in reasons[DNS] or "protected" in reasons[DNS]
    assert "[]" == raqib("blocks", "--json", "--config", running.directory / "config.yaml").strip()
    assert "hello" == lab.client.ask("tcp", address=WEB4)


def test_a_timer_and_taking_off(lab: Lab, client: Actor, agent: Agent) -> None:
    code = """
        function process(data) {
          const ip = data.flow.remote.address;
          if (DataIncr("times") === 1) Info(JSON.stringify([NetBlockIpTimer(ip, 0.5)]));
          else Info(JSON.stringify([NetBlockIp(ip), NetUnblockIp(ip), NetUnblockIp(ip)]));
        }
    """
    running = agent(about(reaction=code))
    assert client.ask("opened", key="one", address=WEB4)
    assert [[0]] == said(running)
    assert "unreachable" == lab.client.ask("tcp", address=WEB4, timeout_s=0.1)
    lab.client.ask("until_reached", address=WEB4)
    with closing(lab.new_client()) as another:
        assert another.ask("opened", key="one", address=WEB4)
        assert [[0], [0, 0, 1]] == said(running, 2)
    assert "hello" == lab.client.ask("tcp", address=WEB4)


def test_names(lab: Lab, client: Actor, agent: Agent) -> None:
    code = "function process(data) { Info(JSON.stringify([NetBlockDomain(), NetBlockDomain(), Errno()])); }"
    running = agent(
        about(reaction=code, breed="remote_domains", remote_domains="[web.test]", remote_domains_type="suffix")
    )
    found = client.ask("resolve", name="web.test", kind=1)
    assert WEB4 in json.dumps(found)
    with suppress(AssertionError):  # it may be cut before the server's greeting is there
        client.ask("opened", key="one", address=WEB4)
    assert [[0, 1, "it was blocked already"]] == said(running)
    lab.dns.ask("queries")
    lab.client.ask("resolve", name="web.test", kind=1)
    lab.client.ask("resolve", name="below.web.test", kind=1)
    assert [] == lab.dns.ask("queries")
    with suppress(AssertionError):
        assert "hello" != client.ask("hello", key="one")
    with lab.count("web") as came:
        assert "unreachable" == lab.client.ask("tcp", address=WEB4)
    assert [0] == came


def test_a_dry_run_blocks_nothing(lab: Lab, client: Actor, agent: Agent) -> None:
    running = agent(
        about(reaction="function process(data) { Info(JSON.stringify([NetBlockIp(), Errno()])); }", mode="dry_react")
    )
    assert client.ask("opened", key="one", address=WEB4)
    assert [[0, ""]] == said(running)
    assert ["would"] == [entry["decision"] for entry in running.ledger() if entry["action"] == "NetBlockIp"]
    assert "hello" == lab.client.ask("tcp", address=WEB4)
