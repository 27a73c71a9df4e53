"""From a program that starts to a reaction that kills it, through the installed command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from raqib.host.spared import SPARED
from tests.e2e.conftest import RAQIB, AgentProcess, recipe, start_victim

RunAgent = Callable[..., AgentProcess]


CAP_SYS_RESOURCE = 24


def has_capability(number: int) -> bool:
    found = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff:"))
    return bool(int(found.split()[1], 16) >> number & 1)


def test_a_reaction_gets_the_event_and_kills(run_agent: RunAgent, victim: Path) -> None:
    reaction = """
        function process(data) {
          const same = data.background.ancestry.at(-1).pid === data.base.background.ancestry.at(-1).pid;
          Info(JSON.stringify({
            kind, name, same,
            uuid: uuid === data.uuid && uuid === data.base.uuid,
            exe: data.process.exe, args: data.process.args, line: data.process.args_line, pid: data.process.pid,
            first: data.background.ancestry[0].pid,
            actions: data.file.actions, execve: data.file.actions.execve, exec: data.file.actions.exec,
            flag: data.file.execve, flows: data.background.flows.protocols.length,
            importance: data.metadata.importance, host: data.habitat.name,
          }));
          Info(`killed ${KillCurrent()}`);
          Info(`again ${KillCurrent()} ${Errno()}`);
        }
    """
    agent = run_agent(recipe("kills", patterns=f"[{{dir: '{victim.parent}', base: victim}}]", reaction=reaction))
    with start_victim(victim) as started:
        assert -signal.SIGKILL == started.wait(60)
        agent.read(lambda events: len(agent.of("kills", "outcome")) == 1)
    (event,) = agent.of("kills", "execution")
    assert str(victim) == event["process"]["exe"]
    assert [str(victim), "-c", "read line"] == event["process"]["args"]
    assert started.pid == event["process"]["pid"]
    assert {"open", "read", "mmap", "close", "execve"} == set(event["file"]["actions"])
    assert not {"files", "flows"} & set(event["background"])
    assert os.getpid() in [ancestor["pid"] for ancestor in event["background"]["ancestry"]]
    spared = int(Path(f"/proc/{agent.process.pid}/oom_score_adj").read_text())
    assert spared == (SPARED if has_capability(CAP_SYS_RESOURCE) else 0)
    assert 0 == agent.stop()
    said = [json.loads(line) for line in agent.logged().splitlines()]
    texts = [line["event"] for line in said if line.get("recipe") == "kills"]
    seen = json.loads(texts[0])
    assert {
        "kind": "test_kind",
        "name": "kills",
        "same": True,
        "uuid": True,
        "exe": str(victim),
        "args": [str(victim), "-c", "read line"],
        "line": f"{victim} -c read line",
        "pid": started.pid,
        "first": 1,
        "actions": event["file"]["actions"],
        "execve": True,
        "exec": True,
        "flag": True,
        "flows": 0,
        "importance": "high",
        "host": event["habitat"]["name"],
    } == seen
    assert "killed 0" == texts[1]
    assert texts[2].startswith("again 1 ")
    assert len(texts[2]) > len("again 1 ")
    decisions = [(entry["action"], entry["decision"], entry["result"]) for entry in agent.ledger()]
    assert ("KillCurrent", "done", 0) in decisions
    assert ("execution", "done", "ok") in decisions


def test_all_actions_on_itself_match_once_and_three_of_four_do_not(
    run_agent: RunAgent, tmp_path: Path, victim: Path
) -> None:
    agent = run_agent(
        recipe(
            "removes_itself",
            patterns=f"[{{dir: '{tmp_path}', base: victim}}]",
            mechanism="file_access",
            file_actions="[open, mmap, execve, unlink]",
            file_actions_how="all",
        )
        + recipe("end_mark", patterns=f"[{{dir: '{tmp_path}', base: mark}}]", mechanism="file_access")
    )
    stays = subprocess.run([victim, "-c", "true"], check=False)
    assert 0 == stays.returncode
    (tmp_path / "mark").write_text("")
    # `exec` keeps the process: it runs itself, then rm unlinks the program within the same process.
    subprocess.run([victim, "-c", f"exec rm {victim}"], check=True)
    agent.read(lambda events: bool(agent.of("removes_itself")) and bool(agent.of("end_mark")))
    assert 0 == agent.stop()
    (event,) = agent.of("removes_itself")
    assert str(victim) == event["file"]["path"]
    assert {"open", "mmap", "execve", "unlink"} <= set(event["file"]["actions"])
    assert str(victim) == event["process"]["prev_exe"]


def test_modes_decide_what_is_printed_and_done(run_agent: RunAgent, victim: Path, tmp_path: Path) -> None:
    where = f"[{{dir: '{tmp_path}', base: victim}}]"
    react = "function process(data) { KillCurrent(); }"
    agent = run_agent(
        recipe("only_alert", patterns=where, reaction=react, mode="alert")
        + recipe("dry", patterns=where, reaction=react, mode="dry_react")
        + recipe("shadow", patterns=where, reaction=react, mode="shadow")
        + recipe("switched_off", patterns=where, reaction=react, mode='"off"')
    )
    with start_victim(victim) as started:
        agent.read(lambda events: bool(agent.of("dry", "outcome")) and bool(agent.of("only_alert")))
        assert started.poll() is None
        started.communicate()
    assert 0 == agent.stop()
    assert ["would"] == [entry["decision"] for entry in agent.ledger() if entry["action"] == "KillCurrent"]
    assert not agent.of("only_alert", "outcome")
    assert not agent.of("shadow")
    assert not agent.of("switched_off")
    counted = [line for line in map(json.loads, agent.logged().splitlines()) if "mode shadow" in line["event"]]
    assert [{"shadow": 1}] == [line["matches"] for line in counted]
    assert "switched_off" not in counted[0]


def test_limits_of_a_recipe_hold_for_it_alone(run_agent: RunAgent, victim: Path, tmp_path: Path) -> None:
    where = f"[{{dir: '{tmp_path}', base: victim}}]"
    kills = "function process(data) { Info(KillCurrent()); }"
    agent = run_agent(
        recipe("once", patterns=where, reaction=kills, limits="{kills_per_minute: 1}")
        + recipe("fat", patterns=where, reaction="function process(data) { for (let a = []; ; ) a.push(a.length); }")
        + recipe(
            "short", patterns=where, reaction="function process(data) { while (true) {} }", limits="{timeout_s: 0.3}"
        )
    )
    with start_victim(victim) as first:
        assert -signal.SIGKILL == first.wait(60)
    with start_victim(victim) as second:
        agent.read(lambda events: all(len(agent.of(name, "outcome")) == 2 for name in ("once", "fat", "short")))
        assert second.poll() is None
        second.communicate()
    assert 0 == agent.stop()
    decisions = [entry["decision"] for entry in agent.ledger() if entry["action"] == "KillCurrent"]
    assert ["done", "refused"] == decisions
    outcomes = {name: agent.of(name, "outcome")[0]["fields"]["reactions"][0]["outcome"] for name in ("fat", "short")}
    assert {"fat": "out_of_memory", "short": "timeout"} == outcomes


def test_what_goes_wrong_in_a_reaction_is_told_with_recipe_and_line(
    run_agent: RunAgent, victim: Path, tmp_path: Path
) -> None:
    where = f"[{{dir: '{tmp_path}', base: victim}}]"
    agent = run_agent(
        recipe("throws", patterns=where, reaction="function process(data) {\n  throw new Error('no');\n}")
        + recipe(
            "spins", patterns=where, reaction="function process(data) { while (true) {} }", limits="{timeout_s: 1}"
        )
        + recipe("kills", patterns=where, reaction="function process(data) { KillCurrent(); }")
    )
    with start_victim(victim) as started:
        assert -signal.SIGKILL == started.wait(60)
        agent.read(lambda events: all(agent.of(name, "outcome") for name in ("throws", "spins", "kills")))
    with start_victim(victim) as started:
        assert -signal.SIGKILL == started.wait(60)
    assert 0 == agent.stop()
    (thrown,) = agent.of("throws", "outcome")[:1]
    assert "error" == thrown["fields"]["reactions"][0]["outcome"]
    assert "throws" in thrown["fields"]["reactions"][0]["error"]
    assert "line 2" in thrown["fields"]["reactions"][0]["error"]
    assert "timeout" == agent.of("spins", "outcome")[0]["fields"]["reactions"][0]["outcome"]


def test_a_second_agent_on_the_same_data_is_refused(run_agent: RunAgent, victim: Path, tmp_path: Path) -> None:
    agent = run_agent(recipe("one", patterns=f"[{{dir: '{tmp_path}', base: victim}}]"))
    second = subprocess.run(
        [RAQIB, "run", "--no-builtin", "--data-dir", agent.data_dir], capture_output=True, text=True, check=False
    )
    assert 1 == second.returncode
    assert "expected no other agent" in second.stderr
    assert 0 == agent.stop(signal.SIGINT)


def test_a_broken_recipe_costs_only_itself(run_agent: RunAgent, victim: Path, tmp_path: Path) -> None:
    where = f"[{{dir: '{tmp_path}', base: victim}}]"
    agent = run_agent(
        recipe("broken_code", patterns=where, reaction="function process(data) { oops(; }")
        + recipe("no_process", patterns=where, reaction="let x = 1;")
        + recipe("broken_field", patterns=where, file_action="execve")
        + recipe("works", patterns=where)
    )
    subprocess.run([victim, "-c", "true"], check=True)
    agent.read(lambda events: bool(agent.of("works")))
    assert 0 == agent.stop()
    told = agent.stderr.read_text()
    for expected in ("broken_code: reactions[0].code", "no_process: reactions[0].code", "broken_field: $[2]"):
        assert expected in told
    assert "did you mean file_actions" in told


def test_recipes_that_others_can_write_are_refused(tmp_path: Path, run_agent: RunAgent) -> None:
    directory = tmp_path / "loose"
    directory.mkdir()
    (directory / "a.yaml").write_text(recipe("loose", patterns="[{base: nothing-of-this-name}]"))
    (directory / "a.yaml").chmod(0o666)
    agent = run_agent(None, "--no-builtin", "--recipes", str(directory))
    assert 0 == agent.stop()
    told = agent.stderr.read_text()
    assert "ready: 0 recipes" in told
    assert "expected that root alone can write" in told
