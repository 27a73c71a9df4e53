"""Recipes about flows, through the installed command: what they see, what reactions get, and that a reaction kills."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raqib.model.flow_line import flow_of_line
from tests.cgroups import enter
from tests.e2e.conftest import AgentProcess, Event, recipe

RunAgent = Callable[..., AgentProcess]
Start = Callable[..., subprocess.Popen[bytes]]

SERVER = """
    server = create_server(("127.0.0.1", 0))
    print(server.getsockname()[1], flush=True)
    sys.stdin.readline()
"""
CLIENT = """
    peer = create_connection(("127.0.0.1", int(sys.argv[1])))
    print("connected", flush=True)
    sys.stdin.readline()
    if len(sys.argv) > 2:
        open(sys.argv[2]).close()
        sys.stdin.readline()
"""
RESOLVING = """
    import subprocess, threading
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    resolver = socket(AF_INET, SOCK_DGRAM)
    resolver.bind(("127.0.0.1", 53))
    def serve():
        question, asker = resolver.recvfrom(512)
        answer = question[:2] + b"\\x81\\x80\\0\\1\\0\\1\\0\\0\\0\\0" + question[12:]
        resolver.sendto(answer + b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\1\\x2c\\0\\4" + inet_aton("127.0.0.5"), asker)
    threading.Thread(target=serve).start()
    asker = socket(AF_INET, SOCK_DGRAM)
    asker.connect(("127.0.0.1", 53))
    asker.send(b"\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\3c2x\\4evil\\7example\\0\\0\\1\\0\\1")
    asker.recv(512)
    socket(AF_INET, SOCK_DGRAM).sendto(b"hello", ("127.0.0.5", 4444))
    sys.stdin.readline()
"""


@pytest.fixture
def start(cgroup: Path) -> Iterator[Start]:
    """Starts a Python program in the agents' cgroup."""
    started: list[subprocess.Popen[bytes]] = []

    def start_one(
        code: str, *arguments: object, prefix: tuple[str, ...] = (), within: bool = True
    ) -> subprocess.Popen[bytes]:
        program = "import sys\nfrom socket import *\n" + textwrap.dedent(code)
        started.append(
            subprocess.Popen(
                [*prefix, sys.executable, "-ISc", program, *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                preexec_fn=(lambda: enter(cgroup)) if within else None,
            )
        )
        return started[-1]

    yield start_one
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def line(child: subprocess.Popen[bytes]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().decode().strip()


def tell(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    child.stdin.write(b"\n")
    child.stdin.flush()


def flow_recipe(name: str, *, reaction: str = "", **fields: str) -> str:
    """Return one recipe about flows."""
    fields = {"breed": "remote_cidrs", "flow_actions": "outgoing", **fields}
    whole = recipe(name, patterns="@", reaction=reaction, mechanism="network_peers", **fields)
    return whole.replace("  bases: @\n", "")


def attached(cgroup: Path) -> int:
    shown = subprocess.run(["bpftool", "cgroup", "show", cgroup, "-j"], capture_output=True, check=True).stdout
    return len(json.loads(shown.strip() or "[]"))


def test_who_connects_is_killed(run_agent: RunAgent, start: Start) -> None:
    server = start(SERVER)
    port = int(line(server))
    reaction = """
        function process(data) {
          const pair = data.background.flows.protocols[0].pairs[0];
          Info(JSON.stringify({
            peer: data.flow.remote.address, port: data.flow.service_port, began: data.flow.phase.initiated_by,
            outgoing: data.flow.flags.outgoing, incoming: data.flow.flags.incoming,
            name: data.background.flows.protocols[0].name, node: pair.nodes.remote.address,
            dst: pair.port_matrix[0].dst_port, base: data.base.background.flow_list.length,
          }));
          Info(`killed ${KillCurrent()}`);
        }
    """
    agent = run_agent(flow_recipe("calls_home", remote_cidrs="[127.0.0.0/8]", remote_port=str(port), reaction=reaction))
    client = start(CLIENT, port)
    assert -signal.SIGKILL == client.wait(60)
    agent.read(lambda events: len(agent.of("calls_home", "outcome")) == 1)
    [event] = agent.of("calls_home", "network_peer")
    assert client.pid == event["process"]["pid"]
    assert ("tcp", 4, "127.0.0.1", port) == (
        event["flow"]["proto"],
        event["flow"]["ip_version"],
        event["flow"]["remote"]["address"],
        event["flow"]["remote"]["port"],
    )
    [told] = event["background"]["flow_list"]
    assert f"-> 127.0.0.1:{port}" in told
    assert 1 == event["background"]["ancestry"][0]["pid"]
    agent.wait_logged("killed")
    said = [json.loads(line) for line in agent.logged().splitlines()]
    texts = [entry["event"] for entry in said if entry.get("recipe") == "calls_home"]
    assert {
        "peer": "127.0.0.1",
        "port": port,
        "began": "local",
        "outgoing": True,
        "incoming": False,
        "name": "tcp",
        "node": "127.0.0.1",
        "dst": port,
        "base": 1,
    } == json.loads(texts[0])
    assert 0 == agent.stop()


def test_the_name_that_was_resolved(run_agent: RunAgent, start: Start, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("network: {resolvers: [127.0.0.1]}\n")
    named = flow_recipe("names", breed="remote_domains", remote_domains="[evil.example]", remote_domains_type="suffix")
    agent = run_agent(named, "--config", str(config))
    start(RESOLVING, prefix=("unshare", "--net"))
    agent.read(lambda events: len(agent.of("names")) == 1)
    [event] = agent.of("names")
    remote = event["flow"]["remote"]
    assert ("127.0.0.5", 4444, "c2x.evil.example") == (remote["address"], remote["port"], remote["name"])
    [told] = [flow for flow in event["background"]["flow_list"] if "(" in flow]
    said_by = f"; {remote['names_from']}" if "names_from" in remote else ""
    assert f"-> 127.0.0.5:4444 (c2x.evil.example{said_by})" in told


def test_a_detection_of_a_file_has_the_flows_of_the_process(run_agent: RunAgent, start: Start, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch()
    port = int(line(start(SERVER)))
    files = recipe("reads", patterns=f"[{{dir: '{tmp_path}', base: secret}}]", mechanism="file_access")
    agent = run_agent(files + flow_recipe("never", remote_cidrs="[192.0.2.0/24]"))
    client = start(CLIENT, port, secret)
    assert "connected" == line(client)
    tell(client)
    agent.read(lambda events: len(agent.of("reads")) == 1)
    [event] = agent.of("reads")
    assert "file_access" == event["event_type"]
    flow = flow_of_line(*event["background"]["flow_list"])
    assert flow is not None
    assert flow.remote is not None
    assert flow.phase is not None
    assert flow.phase.status in ("started", "ongoing")
    assert port == flow.remote.port


def test_a_connection_that_was_there_before(run_agent: RunAgent, start: Start) -> None:
    port = int(line(start(SERVER)))
    client = start(CLIENT, port)
    assert "connected" == line(client)
    agent = run_agent(flow_recipe("old", remote_cidrs="[127.0.0.1/32]", remote_port=str(port)))
    agent.read(lambda events: len(agent.of("old")) == 1)
    assert client.pid == agent.of("old")[0]["process"]["pid"]


def test_flows_as_events(run_agent: RunAgent, start: Start, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("network: {flow_events: true}\n")
    agent = run_agent("", "--config", str(config))
    port = int(line(start(SERVER)))
    client = start(CLIENT, port)
    tell(client)
    assert 0 == client.wait(60)

    def of_client() -> list[Event]:
        return [event for event in agent.of("flow", "flow") if event["process"]["pid"] == client.pid]

    agent.read(lambda events: len(of_client()) == 2)
    begin, end = of_client()
    assert ("created", "ended") == (begin["flow"]["phase"]["status"], end["flow"]["phase"]["status"])
    assert ("local", port) == (end["flow"]["phase"]["ended_by"], end["flow"]["service_port"])
    assert 3 <= end["flow"]["traffic"]["packets_out"]


def test_a_cgroup_bounds_what_is_told(run_agent: RunAgent, start: Start, tmp_path: Path) -> None:
    """Also of connections that were there before: of those of everybody else nothing is said."""
    pids = {}
    for within in (False, True):
        server = start(SERVER, within=within)
        client = start(CLIENT, int(line(server)), within=within)
        assert "connected" == line(client)
        pids[within] = {server.pid, client.pid}
    config = tmp_path / "config.yaml"
    config.write_text("network: {flow_events: true}\n")
    agent = run_agent("", "--config", str(config))
    agent.read(lambda events: client.pid in {event["process"]["pid"] for event in agent.of("flow", "flow")})
    tell(client)
    assert 0 == client.wait(20)
    agent.read(
        lambda events: "ended" in {event["flow"]["phase"]["status"] for event in agent.of("flow", "flow")},
    )
    assert {event["process"]["pid"] for event in agent.of("flow", "flow")} <= pids[True]


def test_loaded_only_when_it_is_needed(run_agent: RunAgent, start: Start, cgroup: Path, tmp_path: Path) -> None:
    agent = run_agent(recipe("reads", patterns=f"[{{dir: '{tmp_path}', base: nothing}}]", mechanism="file_access"))
    assert 0 == attached(cgroup)
    port = int(line(start(SERVER)))
    added = flow_recipe("later", remote_cidrs="[127.0.0.1/32]", remote_port=str(port))
    (tmp_path / "recipes" / "test.yaml").write_text(added)
    client = start(CLIENT, port)
    agent.read(lambda events: len(agent.of("later")) == 1)
    assert client.pid == agent.of("later")[0]["process"]["pid"]
    assert 0 < attached(cgroup)
    assert 0 == agent.stop()
    assert 0 == attached(cgroup)


def test_without_a_cgroup_files_are_still_watched(run_agent: RunAgent, tmp_path: Path) -> None:
    files = recipe("reads", patterns=f"[{{dir: '{tmp_path}', base: secret}}]", mechanism="file_access")
    recipes = files + flow_recipe("blind", remote_cidrs="[127.0.0.1/32]")
    # A mount namespace of its own, in which nothing of cgroup v2 is left.
    without = 'for place in $(findmnt -rno TARGET -t cgroup2); do umount -l $place; done; exec "$0" "$@"'
    agent = run_agent(
        recipes, cgroup=None, below=["unshare", "--mount", "--propagation", "private", "sh", "-c", without]
    )
    (tmp_path / "secret").write_text("x")
    agent.read(lambda events: len(agent.of("reads")) == 1)
    assert "recipes about them match nothing" in agent.logged()
