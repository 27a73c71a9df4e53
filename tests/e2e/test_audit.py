"""The commands that look at a running agent and steer it, and the same on its data directory when none runs."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from raqib.actions.store import Store
from raqib.model.compact import MOST_BYTES, USUAL_BYTES
from tests.e2e.conftest import PATIENCE_S, RAQIB, SCHEMA, AgentProcess, recipe, start_victim

RunAgent = Callable[..., AgentProcess]

BURST_QUEUE = 48 << 20
"""What may wait in a queue."""
SMALL_QUEUE = 16 << 20
BURST_SLACK = 64 << 20
"""What a burst takes beside the queues: events on their way to them, the ring buffer, the allocator's rest."""

KILL = 'function process(data) { DataIncr("seen"); Info(`killed ${KillCurrent()}`); }'


def raqib(*arguments: str | Path, status: int = 0) -> str:
    done = subprocess.run([RAQIB, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert status == done.returncode, done.stdout + done.stderr
    return done.stdout + done.stderr


def raqib_json(*arguments: str | Path) -> Any:
    return json.loads(raqib(*arguments))


def start_agent(run_agent: RunAgent, victim: Path, *options: str) -> AgentProcess:
    text = recipe("kills", patterns=f"[{{dir: '{victim.parent}', base: victim}}]", reaction=KILL)
    return run_agent(text, *options)


def outcomes(agent: AgentProcess, count: int) -> list[dict[str, Any]]:
    agent.read(lambda events: len(agent.of("kills", "outcome")) == count)
    return agent.of("kills", "outcome")


def test_disarm_stops_actions_at_once_and_survives_a_restart(run_agent: RunAgent, victim: Path) -> None:
    agent = start_agent(run_agent, victim)
    here = ("--data-dir", agent.data_dir)
    assert "disarmed" in raqib("disarm", *here)
    with start_victim(victim) as started:
        (outcome,) = outcomes(agent, 1)
        assert started.poll() is None
        started.communicate()
    decisions = [action["decision"] for action in outcome["fields"]["reactions"][0]["actions"]]
    assert ["would", "would"] == decisions
    assert raqib_json("status", "--json", *here)["armed"] is False
    assert "DISARMED" in raqib("status", *here)
    assert 0 == agent.stop()

    again = start_agent(run_agent, victim)
    assert "ready: 1 recipe; disarmed" in again.stderr.read_text()
    assert "all actions are switched off" in again.logged()
    assert {"armed": True, "done": True, "reason": ""} == raqib_json("arm", "--json", *here)
    with start_victim(victim) as started:
        assert -signal.SIGKILL == started.wait(60)
        outcomes(again, 1)
    assert 0 == again.stop()
    entries = [(entry["action"], entry["decision"]) for entry in again.ledger()]
    assert ("disarm", "done") in entries
    assert ("arm", "done") in entries


def test_disarm_without_an_agent_holds_for_the_next(run_agent: RunAgent, victim: Path, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700)
    raqib("disarm", "--data-dir", data_dir)
    assert "switched off" in raqib("status", "--data-dir", data_dir, status=1)
    agent = start_agent(run_agent, victim)
    assert "disarmed" in agent.stderr.read_text()
    assert 0 == agent.stop()


def test_status_counts_what_happened(run_agent: RunAgent, victim: Path) -> None:
    agent = start_agent(run_agent, victim)
    with start_victim(victim) as started:
        assert -signal.SIGKILL == started.wait(60)
        outcomes(agent, 1)
    status = raqib_json("status", "--json", "--data-dir", agent.data_dir)
    assert agent.process.pid == status["pid"]
    assert 1 == status["recipes"]
    assert {"total": 1, "repeated": 0, "alike": 0, "by_recipe": {"kills": 1}} == status["matches"]
    assert 1 == status["reactions"]["started"] == status["reactions"]["done"]
    assert 0 == status["reactions"]["timeout"] == status["reactions"]["dropped"]
    assert 2 == status["actions"]["done"]
    assert 0 < status["latency"]["detect_to_act"]["p50_ms"] <= status["latency"]["detect_to_act"]["p99_ms"]
    assert 0 < status["memory"]["agent_bytes"]
    assert 0 < status["memory"]["workers_bytes"]
    assert status["workers"]["pids"]
    assert 0 <= status["printers"]["stdout"]["dropped"]
    assert "           detect to act" in raqib("status", "--data-dir", agent.data_dir)
    assert 0 == agent.stop()
    assert "expected a running agent" in raqib("status", "--data-dir", agent.data_dir, status=1)


def test_the_socket_is_for_root_alone(run_agent: RunAgent, victim: Path) -> None:
    agent = start_agent(run_agent, victim)
    path = agent.data_dir / "control.sock"
    assert 0o600 == path.stat().st_mode & 0o777
    # Even somebody to whom root hands the connection's other end by opening the way is refused.
    for directory in (agent.data_dir, *agent.data_dir.parents[:-2]):
        directory.chmod(directory.stat().st_mode | 0o011)
    path.chmod(0o666)
    code = (
        "import contextlib, socket\ns = socket.socket(socket.AF_UNIX)\n"
        f"s.connect({str(path)!r})\n"
        # It may be refused before it asks.
        "with contextlib.suppress(BrokenPipeError):\n"
        '    s.sendall(b\'{"command": "disarm"}\\n\')\n'
        "print(s.recv(999).decode())"
    )
    said = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", "/usr/bin/python3", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "expected root, found uid 65534" in said.stdout
    assert raqib_json("status", "--json", "--data-dir", agent.data_dir)["armed"]
    assert 0 == agent.stop()
    assert not path.exists()


def test_nonsense_on_the_socket_costs_nothing(run_agent: RunAgent, victim: Path) -> None:
    agent = start_agent(run_agent, victim)
    path = str(agent.data_dir / "control.sock")
    for request, answer in (
        (b"\n", b"expected a request"),
        (b"[" * 10_000 + b"\n", b"expected a request"),
        (b'{"command": "explode"}\n', b"expected one of arm, disarm"),
        (b'{"command": "undo", "arguments": {"wrong": 1}}\n', b"internal error"),
        (b"x" * (3 << 20), b""),
        (b"half a request", b""),
    ):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            try:
                client.sendall(request)
                client.shutdown(socket.SHUT_WR)
                assert answer in client.recv(65536)
            except (BrokenPipeError, ConnectionResetError):
                assert not answer
    assert raqib_json("status", "--json", "--data-dir", agent.data_dir)["armed"]
    assert 0 == agent.stop()


def test_ledger_is_shown_filtered_verified_and_its_head_is_told(run_agent: RunAgent, victim: Path) -> None:
    agent = start_agent(run_agent, victim)
    here = ("--data-dir", agent.data_dir)
    with start_victim(victim) as started:
        assert -signal.SIGKILL == started.wait(60)
        (outcome,) = outcomes(agent, 1)
    shown = [json.loads(line) for line in raqib("ledger", "--json", *here).splitlines()]
    assert ["DataIncr", "KillCurrent", "execution"] == [entry["action"] for entry in shown]
    (kill,) = (json.loads(line) for line in raqib("ledger", "--json", "--action", "Kill*", *here).splitlines())
    assert ("kills", "done", outcome["uuid"]) == (kill["recipe"], kill["decision"], kill["uuid"])
    assert "KillCurrent" in raqib("ledger", "--event", outcome["uuid"], "--decision", "done", "--since", "1h", *here)
    assert "" == raqib("ledger", "--recipe", "other*", *here)
    assert "" == raqib("ledger", "--since", "2099-01-01T00:00:00Z", *here)
    assert 2 == subprocess.run([RAQIB, "ledger", "--since", "soon", *here], capture_output=True, check=False).returncode
    assert 0 == agent.stop()
    heads = [line["head"] for line in map(json.loads, agent.logged().splitlines()) if line["event"] == "ledger head"]
    assert heads  # none of the ledger as it was at the start: empty
    assert "intact" in raqib("ledger", "verify", "--against", heads[-1], *here)

    path = agent.data_dir / "ledger.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    assert "intact" in raqib("ledger", "verify", *here)
    assert "no such line" in raqib("ledger", "verify", "--against", heads[-1], *here, status=1)
    path.write_bytes(b"".join([lines[0], lines[1].replace(b'"done"', b'"would"'), *lines[2:]]))
    assert "line 3: number 2 or 3 was changed" in raqib("ledger", "verify", *here, status=1)
    found = subprocess.run([RAQIB, "ledger", "verify", "--json", *here], capture_output=True, check=False)
    assert ["changed"] == [problem["what"] for problem in json.loads(found.stdout)["breaks"]]


def test_ledger_follow_shows_lines_as_they_come(run_agent: RunAgent, victim: Path) -> None:
    agent = start_agent(run_agent, victim)
    with subprocess.Popen(
        [RAQIB, "ledger", "--follow", "--json", "--data-dir", agent.data_dir], stdout=subprocess.PIPE
    ) as following:
        assert following.stdout is not None
        with start_victim(victim) as started:
            assert -signal.SIGKILL == started.wait(60)
        received, deadline = b"", time.monotonic() + PATIENCE_S
        while b'"action":"execution"' not in received and time.monotonic() < deadline:
            if select.select([following.stdout], [], [], 1)[0]:
                received += os.read(following.stdout.fileno(), 65536)
        following.send_signal(signal.SIGINT)
        assert 0 == following.wait(60)
    assert ["DataIncr", "KillCurrent", "execution"] == [json.loads(line)["action"] for line in received.splitlines()]
    assert 0 == agent.stop()


@pytest.mark.parametrize("running", [True, False], ids=["agent runs", "no agent"])
def test_undo_and_store(run_agent: RunAgent, victim: Path, running: bool) -> None:
    agent = start_agent(run_agent, victim)
    here = ("--data-dir", agent.data_dir)
    with start_victim(victim) as started:
        assert -signal.SIGKILL == started.wait(60)
        outcomes(agent, 1)
    if not running:
        assert 0 == agent.stop()
    increment, kill = (entry["seq"] for entry in agent.ledger()[:2])
    assert {"seen": "1"} == raqib_json("store", "list", "kills", *here)
    assert [increment] == [
        json.loads(line)["seq"] for line in raqib("ledger", "--undoable", "--json", *here).splitlines()
    ]
    assert "number 1 is undone" in raqib("undo", str(increment), *here)
    assert raqib("ledger", "--undoable", *here) == ""
    assert raqib_json("store", "get", "kills", "seen", *here) == "0"
    assert "was undone already" in raqib("undo", str(increment), *here, status=1)
    refused = raqib("undo", str(kill), *here, status=1)
    assert "KillCurrent cannot be undone; what can: NetBlockIp (takes the blocks off)" in refused
    assert "no line number 999" in raqib("undo", "999", *here, status=1)
    raqib("store", "set", "kills", "é\x1b", "värde\n", *here)
    listed = raqib("store", "list", "kills", *here)
    assert {"seen": "0", "é\x1b": "värde\n"} == json.loads(listed)
    assert listed.strip().isascii()
    raqib("store", "delete", "kills", "seen", *here)
    assert "expected a key" in raqib("store", "get", "kills", "seen", *here, status=1)
    if running:
        assert 0 == agent.stop()
    assert "intact" in raqib("ledger", "verify", *here)
    actions = [(entry["action"], entry["decision"]) for entry in agent.ledger()[3:]]
    assert [
        ("undo", "done"),
        ("undo", "refused"),
        ("undo", "refused"),
        ("undo", "error"),
        ("store_set", "done"),
        ("store_delete", "done"),
    ] == actions


def test_lists_are_shown_too(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    store.push("kills", "seen", "one")
    store.push("kills", "seen", "two")
    store.set("kills", "last", "two")
    store.close()
    here = ("--data-dir", tmp_path)
    assert {"last": "two", "seen": ["one", "two"]} == raqib_json("store", "list", "kills", *here)
    assert ["one", "two"] == raqib_json("store", "get", "kills", "seen", *here)


def test_what_is_stored_at_all_is_listed(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    store.close()
    here = ("--data-dir", tmp_path)
    assert "no recipe has data yet\n" == raqib("store", "list", *here)
    raqib("store", "set", "*", "maintenance", "yes", "--ttl", "1h30m", *here)
    raqib("store", "set", "evil\x1b[2J", "a", "1", *here)
    raqib("store", "set", "evil\x1b[2J", "b", "1", *here)
    listed = raqib("store", "list", *here)
    assert ["recipe", "keys"] == listed.splitlines()[0].split()
    assert ["*", "1"] == listed.splitlines()[1].split()
    assert listed.endswith("2 recipes; * is what all of them share\n")
    assert "\x1b" not in listed
    assert {"*": 1, "evil\x1b[2J": 2} == raqib_json("store", "list", "--json", *here)


def test_a_used_up_budget_is_an_event_of_its_own(run_agent: RunAgent, victim: Path) -> None:
    text = recipe(
        "kills",
        patterns=f"[{{dir: '{victim.parent}', base: victim}}]",
        reaction="function process(data) { KillCurrent(); }",
        limits="{kills_per_minute: 1}",
    )
    agent = run_agent(text)
    with start_victim(victim) as first:
        assert -signal.SIGKILL == first.wait(60)
    for count in (2, 3):
        with start_victim(victim) as later:
            outcomes(agent, count)
            later.communicate()
    (event,) = agent.of("kills", "agent")
    breaker = event["fields"]["breaker"]
    assert ("kills", "kills", 1) == (breaker["recipe"], breaker["budget"], breaker["limit"])
    assert breaker["uuid"] in [shown["uuid"] for shown in agent.of("kills", "execution")]
    assert 1 == raqib_json("status", "--json", "--data-dir", agent.data_dir)["breakers_opened"]
    assert 0 == agent.stop()


TOUCH = """
import subprocess, sys
from pathlib import Path
directory, deep = sys.argv[1], int(sys.argv[2])
if deep:
    sys.exit(subprocess.call([sys.executable, __file__, directory, str(deep - 1), "\\n" * 40_000]))
for number in range(500):
    (Path(directory) / str(number)).touch()
"""


@pytest.mark.parametrize("deep", [0, 8])
def test_500_events_at_once_are_all_printed_and_each_reaction_is_run_or_counted(
    run_agent: RunAgent, deep: int, tmp_path: Path
) -> None:
    """And memory stays within what the queues may hold: that of the printer, and that of the reactions.

    Events are larger by far, if there are many ancestors with long command lines.
    """
    config = tmp_path / "config.yaml"
    config.write_text(
        f"in_flight: {{max_bytes: {4 * BURST_QUEUE}}}\nprinters: {{max_waiting_bytes: {BURST_QUEUE}}}\n"
        f"reactions: {{max_waiting: 100, max_waiting_bytes: {BURST_QUEUE}, workers: 2}}\n"
    )
    text = recipe(
        "burst",
        patterns=f"[{{dir: '{tmp_path}/many'}}]",
        mechanism="file_access",
        file_actions="[create]",
        reaction='function process(data) { DataIncr("n"); }',
    )
    (tmp_path / "many").mkdir()
    agent = run_agent(text, "--config", str(config))
    # Checking against the schema takes longer than making an event; some are checked below.
    agent.validates = False
    # Deep in a tree of processes that have long arguments.
    agent.most_bytes = MOST_BYTES if deep else USUAL_BYTES
    before = raqib_json("status", "--json", "--data-dir", agent.data_dir)["memory"]["agent_bytes"]
    touch = tmp_path / "touch.py"
    touch.write_text(TOUCH)
    subprocess.run([sys.executable, touch, tmp_path / "many", str(deep)], check=True)
    agent.read_lines(1000, 60)
    # One of the lines may tell that reactions are dropped.
    agent.read(lambda events: len(agent.of("burst", "outcome")) >= 500)
    peak = peak_bytes(agent.process.pid)
    printed = agent.of("burst", "file_access")
    assert [500, 500] == [len(printed), len(agent.of("burst", "outcome"))]
    for event in printed[::200]:
        Draft202012Validator(SCHEMA).validate(event)
    assert {f"{tmp_path}/many/{number}" for number in range(500)} == {event["file"]["path"] for event in printed}
    status = raqib_json("status", "--json", "--data-dir", agent.data_dir)
    reactions = status["reactions"]
    assert 500 == reactions["started"] + reactions["dropped"]
    assert 500 == status["matches"]["total"]
    assert 0 == status["printers"]["stdout"]["dropped"]
    assert peak < before + 2 * BURST_QUEUE + BURST_SLACK, (before >> 20, peak >> 20)
    stored = raqib_json("store", "get", "burst", "n", "--data-dir", agent.data_dir)
    assert 0 == agent.stop()
    ended = Counter(entry["result"] for entry in agent.ledger() if entry["action"] == "execution")
    assert {name: reactions[name] for name in ended if name != "ok"} == {
        name: ended[name] for name in ended if name != "ok"
    }
    assert (500, reactions["done"]) == (ended.total(), ended["ok"])
    assert stored == str(sum(entry["action"] == "DataIncr" for entry in agent.ledger()))
    # A machine that is very busy may not give a reaction its time; nothing else ends one early.
    assert {"ok", "dropped", "timeout"} >= ended.keys(), agent.logged()[-2000:]


def test_what_nobody_reads_takes_no_more_memory_than_stated(run_agent: RunAgent, tmp_path: Path) -> None:
    """Nothing is read from its standard output: events wait until the bound, then they are only counted."""
    config = tmp_path / "config.yaml"
    config.write_text(f"in_flight: {{max_bytes: {SMALL_QUEUE}}}\n")
    text = recipe("burst", patterns=f"[{{dir: '{tmp_path}/many'}}]", mechanism="file_access", file_actions="[create]")
    (tmp_path / "many").mkdir()
    agent = run_agent(text, "--config", str(config))
    here = ("--data-dir", agent.data_dir)
    before = raqib_json("status", "--json", *here)["memory"]["agent_bytes"]
    for number in range(2000):
        (tmp_path / "many" / str(number)).touch()

    def counts() -> dict[str, int]:
        status = raqib_json("status", "--json", *here)
        printed: dict[str, int] = status["printers"]["stdout"]
        return {**printed, "matches": status["matches"]["total"], "repeated": status["matches"]["repeated"]}

    deadline = time.monotonic() + 60
    while (now := counts())["matches"] < 2000:
        assert time.monotonic() < deadline, now
    assert now["repeated"] > 0
    # One of them is being written.
    assert 2000 - 1 == now["written"] + now["waiting"] + now["dropped"] + now["repeated"]
    assert peak_bytes(agent.process.pid) < before + SMALL_QUEUE + BURST_SLACK
    agent.process.kill()


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process has had resident."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))
