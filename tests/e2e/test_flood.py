"""Whoever floods blinds nobody: what others do is told, and in time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import flooding
from tests.cgroups import enter
from tests.e2e.conftest import AgentProcess, Event, recipe
from tests.e2e.test_flows import flow_recipe

NEEDLES = 200
FLOW_NEEDLES = int(os.environ.get("LONG_NEEDLES", "10"))
"""`make long-floods` takes 200: each waits for its turn beside a flood."""
AT_ONCE = 5
PATIENCE_S = 90.0


def run(run_agent: Callable[..., AgentProcess], tmp_path: Path) -> tuple[AgentProcess, Path]:
    """Start the agent with the built-in recipes and one for a program of the test's own."""
    directory = tmp_path / "own"
    directory.mkdir()
    program = tmp_path / "needle"
    shutil.copy(Path("/bin/true").resolve(), program)
    (directory / "needle.yaml").write_text(recipe("needle", patterns=f"[{{dir: '{tmp_path}', base: needle}}]"))
    agent = run_agent(None, "--recipes", str(directory))
    unjudged(agent)
    return agent, program


def unjudged(agent: AgentProcess) -> None:
    """What built-in recipes tell of others on this machine is not the test's to judge."""
    agent.validates, agent.most_bytes = False, 1 << 30


def needles(agent: AgentProcess, program: Path, count: int = NEEDLES) -> None:
    """Run it so often; each must be told."""
    before = len(agent.of("needle"))
    pids = []
    for _ in range(count):
        with subprocess.Popen([program]) as started:
            pids.append(started.pid)
    agent.read(lambda events: len(agent.of("needle")) >= before + count, PATIENCE_S)
    assert sorted(pids) == sorted(event["process"]["pid"] for event in agent.of("needle")[before:])


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(flooding.ONE_PROCESS, id="one process"),
        pytest.param(flooding.SHORT_PROCESSES, id="short processes"),
        pytest.param(flooding.SUBORDINATE_USERS, id="subordinate users"),
    ],
)
def test_ever_new_names_of_another_user(run_agent: Callable[..., AgentProcess], tmp_path: Path, script: str) -> None:
    agent, program = run(run_agent, tmp_path)
    with flooding.flood(script, number=2):
        agent.wait_logged("records were late")
        needles(agent, program)
    assert 0 == agent.stop()


def test_a_process_that_floods_is_told_with_who_it_is(run_agent: Callable[..., AgentProcess], tmp_path: Path) -> None:
    agent, _ = run(run_agent, tmp_path)
    with flooding.flood(flooding.ONE_PROCESS) as (flooder,):
        agent.read(lambda events: any(floods(event_found, flooder.pid) for event_found in events))
    event = next(event_found for event_found in agent.events if floods(event_found, flooder.pid))
    loss = event["fields"]["loss"]
    assert ("begins", flooding.NOBODY, "nobody") == (loss["state"], loss["uid"], loss["user"])
    assert event["process"]["exe"] == str(Path("/usr/bin/python3").resolve())
    assert loss["count"] >= 20_000
    assert 0 == agent.stop()


def floods(event: Event, pid: int) -> bool:
    return bool(event["metadata"]["name"] == "loss_flood" and event.get("process", {}).get("pid") == pid)


@pytest.fixture
def inside() -> Iterator[str]:
    """A network namespace: nobody else hears of the floods."""
    name = f"raqib-flood-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


BECOME = """
import os, struct, sys
from socket import *
def become(user):
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
become(int(sys.argv[1]))
print("begins", flush=True)
number = 0
while True:
    number += 1
"""
MANY_SOCKETS = """
    socket(AF_INET, SOCK_DGRAM).sendto(b"x", (f"127.{number >> 16 & 127}.{number >> 8 & 255}.{number & 255}", 9))
"""
ONE_SOCKET = """
    out = socket(AF_INET, SOCK_DGRAM) if number == 1 else out
    out.sendto(b"x", (f"127.{number >> 16 & 127}.{number >> 8 & 255}.{number & 255}", 9))
"""
CONNECTIONS = """
    if number == 1:
        listener = socket()
        listener.bind(("127.0.0.2", 0))
        listener.listen(64)
    one, address = socket(), (f"127.0.{number >> 8 & 255}.{number & 255 | 1}", 0)
    one.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    one.bind(address)
    one.connect(listener.getsockname())
    listener.accept()[0].close()
    one.close()
"""
QUESTIONS = """
    question = struct.pack("!HHHHHH", number & 65535, 256, 1, 0, 0, 0) + b"\\5flood\\4test\\0\\0\\1\\0\\1"
    socket(AF_INET, SOCK_DGRAM).sendto(question, ("127.0.0.53", 53))
"""
NEEDLES_OF_FLOWS = """
import os, sys
from socket import *
os.setgroups([])
os.setresgid(1900000001, 1900000001, 1900000001)
os.setresuid(1900000001, 1900000001, 1900000001)
for line in sys.stdin:
    for port in range(int(line), int(line) + int(sys.argv[1])):
        with socket(AF_INET, SOCK_DGRAM) as out:
            out.sendto(b"x", ("127.99.0.1", port))
"""


def ports(agent: AgentProcess) -> set[int]:
    return {call["flow"]["remote"]["port"] for call in agent.of("calls", "network_peer")}


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(MANY_SOCKETS, id="many sockets"),
        pytest.param(ONE_SOCKET, id="one socket"),
        pytest.param(CONNECTIONS, id="connections"),
        pytest.param(QUESTIONS, id="questions"),
    ],
)
def test_flows_of_another_user_are_told_during_a_flood_of_them(
    run_agent: Callable[..., AgentProcess], tmp_path: Path, cgroup: Path, inside: str, script: str
) -> None:
    directory = tmp_path / "own"
    directory.mkdir()
    (directory / "calls.yaml").write_text(flow_recipe("calls", remote_cidrs="[127.99.0.1/32]", reaction=""))
    agent = run_agent(None, "--recipes", str(directory))
    unjudged(agent)
    command = ["ip", "netns", "exec", inside, sys.executable, "-ISc"]

    def start(code: str, number: int, *before: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*before, *command, code, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=lambda: enter(cgroup),
        )

    flooders = [start(BECOME + script, flooding.NOBODY, *flooding.POLITELY) for _ in range(2)]
    needle = None
    try:
        for flooder in flooders:
            assert flooder.stdout is not None
            assert b"begins\n" == flooder.stdout.readline()
        agent.read_for(3.0)
        needle = start(NEEDLES_OF_FLOWS, AT_ONCE)
        assert needle.stdin is not None
        for first in range(20_000, 20_000 + FLOW_NEEDLES, AT_ONCE):
            needle.stdin.write(b"%d\n" % first)
            needle.stdin.flush()
            wanted = {*range(20_000, first + AT_ONCE)}
            agent.read(lambda events, wanted=wanted: wanted <= ports(agent), PATIENCE_S)  # type: ignore[misc]
        assert {needle.pid} == {call["process"]["pid"] for call in agent.of("calls", "network_peer")}
        assert {None} == {flooder_found.poll() for flooder_found in flooders}, "a flood ended before its time"
    finally:
        for started in [*flooders, *([needle] if needle else [])]:
            started.kill()
            started.communicate()
    assert 0 == agent.stop()
