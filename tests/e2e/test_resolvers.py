"""Names in containers: from the servers that their own resolv.conf names, and from others, which are not believed."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cgroups import enter
from tests.e2e.conftest import RAQIB, AgentProcess, Event
from tests.e2e.pod import Pod
from tests.e2e.test_flows import flow_recipe

RunAgent = Callable[..., AgentProcess]
Start = Callable[..., Pod]
RESOLVER, OTHER_RESOLVER, LIAR = "10.96.0.10", "10.96.0.20", "203.0.113.66"
ADDRESS = "127.0.0.5"
EVIL = {"breed": "remote_domains", "remote_domains": "[evil.example]", "remote_domains_type": "suffix"}


@pytest.fixture
def start(cgroup: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts a program whose resolv.conf names `resolver` and that asks `server`."""
    with ExitStack() as stack:
        numbers = itertools.count()

        def start_one(*, resolver: str, name: str, server: str = "", namespaces: tuple[str, ...] = ()) -> Pod:
            file = tmp_path / f"resolv{next(numbers)}.conf"
            file.write_text(f"nameserver {resolver}\n")
            file.chmod(0o644)
            pod = Pod(cgroup, file, server=server or resolver, name=name, address=ADDRESS, namespaces=namespaces)
            stack.callback(pod.close)
            return pod

        yield start_one


def names_of(event: Event) -> tuple[list[str], str | None]:
    remote = event["flow"]["remote"]
    return remote.get("names", []), remote.get("names_from")


def talk_until(agent: AgentProcess, pod: Pod, expected: tuple[list[str], str | None], ports: Iterator[int]) -> None:
    """Have it talk until its flow is named as expected, for its file is read meanwhile; each port is told of once."""
    for port in itertools.islice(ports, 200):
        pod.talk(port)

        def of_port(port: int = port) -> list[Event]:
            return [event for event in agent.of("names") if event["flow"]["remote"]["port"] == port]

        agent.read(lambda events: len(of_port()) == 1)  # called at once
        [event] = of_port()
        assert pod.process.pid == event["process"]["pid"]
        if names_of(event) == expected:
            return
        assert names_of(event) == (expected[0], "unlisted"), "nothing but what is not known yet"
    pytest.fail(f"expected {expected} at last, found {names_of(agent.of('names')[-1])}")


def test_each_namespaces_own_resolver_names_its_flows(run_agent: RunAgent, start: Start) -> None:
    agent = run_agent(flow_recipe("names", **EVIL))
    one = start(resolver=RESOLVER, name="one.evil.example")
    other = start(resolver=OTHER_RESOLVER, name="other.evil.example")
    ports = itertools.count(4000)
    talk_until(agent, one, (["one.evil.example"], "resolver"), ports)
    talk_until(agent, other, (["other.evil.example"], "resolver"), ports)
    assert any("(other.evil.example; resolver)" in line for line in agent.of("names")[-1]["background"]["flow_list"])


def test_a_changed_file_counts(run_agent: RunAgent, start: Start, tmp_path: Path) -> None:
    agent = run_agent(flow_recipe("names", **EVIL))
    pod = start(resolver=OTHER_RESOLVER, server=RESOLVER, name="one.evil.example")
    pod.talk(4000)
    agent.read(lambda events: len(agent.of("names")) == 1)
    assert (["one.evil.example"], "unlisted") == names_of(agent.of("names")[0])
    (tmp_path / "resolv0.conf").write_text(f"nameserver {RESOLVER}\n")
    talk_until(agent, pod, (["one.evil.example"], "resolver"), itertools.count(4001))


@pytest.mark.parametrize("namespaces", [(), ("--user", "--map-root-user")], ids=["root", "own user namespace"])
def test_a_server_that_nobody_names_is_marked_and_named_for_nobody_else(
    run_agent: RunAgent, start: Start, cgroup: Path, namespaces: tuple[str, ...]
) -> None:
    agent = run_agent(flow_recipe("names", remote_cidrs=f"[{ADDRESS}/32]"))
    liar = start(resolver=RESOLVER, server=LIAR, name="bank.evil.example", namespaces=namespaces)
    for port in (4000, 4001):
        liar.talk(port)
    agent.read(lambda events: len(agent.of("names")) == 2)
    assert [(["bank.evil.example"], "unlisted")] * 2 == [names_of(event) for event in agent.of("names")]
    # The same address, in the host's namespaces.
    send = f"from socket import *; socket(AF_INET, SOCK_DGRAM).sendto(b'x', ('{ADDRESS}', 4002))"
    subprocess.run(["python3", "-c", send], check=True, preexec_fn=lambda: enter(cgroup))
    agent.read(lambda events: len(agent.of("names")) == 3)
    assert ([], None) == names_of(agent.of("names")[2])


@pytest.fixture
def enforced(tmp_path: Path) -> Iterator[Path]:
    """The configuration of an agent with a network policy; what it pinned goes with the test."""
    pins = Path("/sys/fs/bpf") / f"raqib-{tmp_path.name}"
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"network": {"enforce": True, "pin_dir": str(pins)}}))
    yield config
    subprocess.run([RAQIB, "blocks", "off", "--config", config], check=True, capture_output=True)
    assert not pins.exists()


@pytest.mark.parametrize("server", [RESOLVER, LIAR], ids=["own resolver", "unlisted"])
def test_what_is_made_up_there_blocks_nothing_without_argument(
    run_agent: RunAgent, start: Start, enforced: Path, server: str
) -> None:
    reaction = """
        function process(data) {
          const done = [NetBlockIp(), Errno(), NetBlockDomain(), Errno()];
          Info(JSON.stringify(done));
        }
    """
    agent = run_agent(flow_recipe("names", reaction=reaction, **EVIL), "--config", str(enforced))
    pod = start(resolver=RESOLVER, server=server, name="bank.evil.example")
    pod.talk(4000)
    agent.read(lambda events: len(agent.of("names", "outcome")) == 1)
    said: list[Any] = [json.loads(line)["event"] for line in agent.logged().splitlines()]
    [done] = [json.loads(text) for text in said if str(text).startswith("[")]
    assert [-1, -1] == done[::2]
    assert all("no resolver of this host said" in reason for reason in done[1::2])
    listed = subprocess.run(
        [RAQIB, "blocks", "--json", "--config", enforced], check=True, capture_output=True, text=True
    )
    assert [] == json.loads(listed.stdout)
    assert 0 == agent.stop()
