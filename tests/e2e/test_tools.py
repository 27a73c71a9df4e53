"""test, explain, record, replay and recipes, as somebody who writes recipes uses them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.e2e.conftest import PATIENCE_S, RAQIB, AgentProcess, recipe, start_victim
from tests.e2e.peers import visit

RunAgent = Callable[..., AgentProcess]

KILLS = "function process(data) { Info(data.process.exe); KillCurrent(); DataIncr('n'); }"

# Nobody, who can read every file: where the interpreter lives is not what is tested.
UNPRIVILEGED = (
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--bounding-set=-all,+dac_read_search",
    "--inh-caps=-all,+dac_read_search",
    "--ambient-caps=-all,+dac_read_search",
)


def raqib(*arguments: str | Path, without_privileges: bool = False) -> subprocess.CompletedProcess[str]:
    before = UNPRIVILEGED if without_privileges else ()
    return subprocess.run([*before, RAQIB, *arguments], capture_output=True, text=True, check=False, cwd="/")


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that everybody can read."""
    with tempfile.TemporaryDirectory(prefix="raqib-test-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def tested(public: Path) -> Path:
    text = recipe("kills", patterns="[{base: xmrig}]", reaction=KILLS)
    tests = """  tests:
    - {name: seen, event: {process: {exe: /tmp/xmrig}}, expect: {match: true, calls: [KillCurrent, {DataIncr: [n]}]}}
    - {name: not seen, event: {process: {exe: /bin/ls}}, expect: {match: false, because: bases}}
    - {name: "wrong \\u0001", event: {process: {exe: /tmp/xmrig}}, expect: {match: true, calls: [KillParent]}}
"""
    file = public / "recipes.yaml"
    file.write_text(text + tests)
    return file


def test_the_tests_of_recipes_run_without_privileges(tested: Path) -> None:
    shown = raqib("test", tested, without_privileges=True)
    assert 1 == shown.returncode, shown.stderr
    assert "ok    seen" in shown.stdout
    assert "ok    not seen" in shown.stdout
    assert "FAIL  wrong" in shown.stdout
    assert 'expected the calls KillParent; found KillCurrent(), DataIncr("n")' in shown.stdout
    assert "{base: 'xmrig'} holds for '/tmp/xmrig'" in shown.stdout
    assert "3 tests of 1 recipe: 2 passed, 1 failed" in shown.stdout
    tested.write_text(tested.read_text().replace("[KillParent]", "[KillCurrent, DataIncr]"))
    assert 0 == raqib("test", tested, without_privileges=True).returncode


def test_results_for_programs(tested: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    broken = tmp_path / "broken.yaml"
    broken.write_text("- {kind: k}\n")
    answer = json.loads(raqib("test", tested, broken, "--json", "--junit", report).stdout)
    assert (2, 1) == (answer["passed"], answer["failed"])
    assert str(broken) == answer["errors"][0]["source"]
    assert ["passed", "passed", "failed"] == [test["outcome"] for test in answer["tests"]]
    root = ElementTree.parse(report).getroot()
    suites = {suite.get("name"): suite for suite in root}
    assert ("3", "1") == (suites["kills"].get("tests"), suites["kills"].get("failures"))
    failure = suites["kills"].find("testcase/failure")
    assert failure is not None
    assert "expected the calls KillParent" in failure.get("message", "")
    assert int(suites["loading"].get("errors", "0")) >= 1


def test_built_in_recipes_pass_their_tests() -> None:
    shown = raqib("test", "--builtin")
    assert 0 == shown.returncode, shown.stdout[-4000:]


def test_what_was_recorded_is_replayed_elsewhere(victim: Path, tmp_path: Path, public: Path) -> None:
    recipes, recording = public / "recipes.yaml", public / "recording.jsonl"
    recipes.write_text(recipe("kills", patterns=f"[{{dir: '{tmp_path}', base: victim}}]", reaction=KILLS))
    with subprocess.Popen(
        [RAQIB, "record", "-o", recording, "--no-builtin", "--recipes", recipes], stderr=subprocess.PIPE, text=True
    ) as recorder:
        assert recorder.stderr is not None
        assert "ready: recording what 1 recipe may need\n" == recorder.stderr.readline()
        pids = []
        for _ in range(2):
            with start_victim(victim) as started:
                pids.append(started.pid)
                started.communicate()
                # It is recorded, not killed.
                assert -signal.SIGKILL != started.returncode
        recorder.send_signal(signal.SIGTERM)
        assert "2 observations written" in recorder.communicate(timeout=PATIENCE_S)[1]
        assert 0 == recorder.returncode
    assert 0o600 == recording.stat().st_mode & 0o777
    header, *lines = (json.loads(line) for line in recording.read_text().splitlines())
    assert ("raqib-recording", 2) == (header["format"], header["version"])
    assert [str(victim)] * 2 == [line["seen"]["path"] for line in lines]
    assert os.getpid() in [ancestor["key"][0] for ancestor in lines[0]["ancestors"]]

    recording.chmod(0o644)
    options = ("replay", recording, "--no-builtin", "--recipes", recipes)
    shown = raqib(*options, without_privileges=True)
    assert 0 == shown.returncode, shown.stderr
    for part in (f"log      info: {victim}", f"would    KillCurrent pid {pids[0]}", "would    DataIncr n → 2"):
        assert part in shown.stdout
    assert "2 observations, 2 detections, 4 helper calls, none of them done" in shown.stdout
    *found, last = (json.loads(line) for line in raqib(*options, "--json").stdout.splitlines())
    assert pids == [item["event"]["process"]["pid"] for item in found]
    assert ["KillCurrent", "DataIncr"] == [call["name"] for call in found[0]["reactions"][0]["calls"]]
    assert {"observations": 2, "detections": 2, "calls": 4, "shadowed": {}} == last["summary"]
    assert 1 == raqib("replay", recipes).returncode


def test_everything_can_be_recorded(tmp_path: Path, cgroup: Path) -> None:
    recording, touched = tmp_path / "recording.jsonl", tmp_path / "touched"
    with subprocess.Popen(
        [RAQIB, "record", "-o", recording, "--no-builtin", "--everything", "--cgroup", cgroup],
        stderr=subprocess.PIPE,
        text=True,
    ) as recorder:
        assert recorder.stderr is not None
        assert "ready: recording everything\n" in iter(recorder.stderr.readline, "")
        touched.write_text("x")
        touched.rename(tmp_path / "moved")
        recorder.send_signal(signal.SIGINT)
        recorder.communicate(timeout=PATIENCE_S)
    lines = [json.loads(line) for line in recording.read_text().splitlines()[1:]]
    seen = [line["seen"] for line in lines if "seen" in line]
    done = {action for observation in seen if observation["path"] == str(touched) for action in observation["actions"]}
    assert {"create", "open", "write", "rename"} <= done


def test_what_still_waits_at_the_end_is_recorded(tmp_path: Path, cgroup: Path) -> None:
    """There is room for a few records only, and nothing looks for the others meanwhile."""
    recording, config, many = tmp_path / "recording.jsonl", tmp_path / "config.yaml", tmp_path / "many"
    config.write_text("sensors: {ring_bytes: 4096, cadence_s: 3600}\n")
    many.mkdir()
    with subprocess.Popen(
        [RAQIB, "record", "-o", recording, "--config", config, "--no-builtin", "--everything", "--cgroup", cgroup],
        stderr=subprocess.PIPE,
        text=True,
    ) as recorder:
        assert recorder.stderr is not None
        assert "ready: recording everything\n" in iter(recorder.stderr.readline, "")
        recorder.send_signal(signal.SIGSTOP)
        for number in range(200):
            (many / str(number)).write_text("x")
        recorder.send_signal(signal.SIGINT)
        recorder.send_signal(signal.SIGCONT)
        recorder.communicate(timeout=PATIENCE_S)
    seen = [line["seen"]["path"] for line in map(json.loads, recording.read_text().splitlines()[1:]) if "seen" in line]
    assert {str(many / str(number)) for number in range(200)} <= set(seen)


def test_flows_are_recorded_with_their_names_and_replayed(tmp_path: Path, cgroup: Path) -> None:
    recording, config, recipes = tmp_path / "recording.jsonl", tmp_path / "config.yaml", tmp_path / "recipes.yaml"
    config.write_text("network: {resolvers: [127.0.0.1]}\n")
    recipes.write_text(
        recipe(
            "calls_home",
            patterns="@",
            mechanism="network_peers",
            breed="remote_domains",
            remote_domains="[evil.example]",
            remote_domains_type="suffix",
            flow_actions="outgoing",
        ).replace("  bases: @\n", "")
    )
    arguments = ("-o", recording, "--cgroup", cgroup, "--config", config, "--no-builtin", "--recipes", recipes)
    with subprocess.Popen(
        [RAQIB, "record", *arguments],
        stderr=subprocess.PIPE,
        text=True,
    ) as recorder:
        assert recorder.stderr is not None
        assert any("ready: " in line for line in iter(recorder.stderr.readline, ""))
        for peer in ("udp/c2.good.example/4444", "udp/c2.evil.example/4444"):
            visit(cgroup, peer)
        recorder.send_signal(signal.SIGTERM)
        recorder.communicate(timeout=PATIENCE_S)
    flows = [json.loads(line)["flow"] for line in recording.read_text().splitlines()[1:] if '"flow"' in line]
    assert ["c2.evil.example"] in [flow["remote"].get("names") for flow in flows]
    options = ("replay", recording, "--no-builtin", "--recipes", recipes)
    *found, last = (json.loads(line) for line in raqib(*options, "--json").stdout.splitlines())
    assert ["c2.evil.example"] == [item["event"]["flow"]["remote"]["name"] for item in found]
    assert len(flows) == last["summary"]["observations"]


def test_an_event_is_explained_with_what_was_done(run_agent: RunAgent, victim: Path, tmp_path: Path) -> None:
    text = recipe(
        "kills",
        patterns=f"[{{dir: '{tmp_path}', base: victim}}]",
        reaction=KILLS,
        times="[{kind: times_per_exe, max: 5}]",
    )
    agent = run_agent(text)
    with start_victim(victim) as started:
        assert -signal.SIGKILL == started.wait(60)
        agent.read(lambda events: bool(agent.of("kills", "outcome")))
    assert 0 == agent.stop()
    (event,) = agent.of("kills", "execution")
    log = tmp_path / "events.jsonl"
    log.write_text("".join(json.dumps(event) + "\n" for event in agent.events))
    options = ("--log", log, "--data-dir", agent.data_dir, "--recipes", tmp_path / "recipes", "--no-builtin")
    shown = raqib("explain", event["uuid"], *options)
    assert 0 == shown.returncode, shown.stderr
    for part in (
        f"{{base: 'victim', dir: '{tmp_path}'}} holds for",
        "times_per_exe: at most 5",
        f"done     KillCurrent pid {started.pid}  [ledger 1, ",
        "done     DataIncr n → 1  [ledger 2, ",
    ):
        assert part in shown.stdout
    answer = json.loads(raqib("explain", event["uuid"], *options, "--json").stdout)
    assert {"bases": True, "file_actions": True, "arbitrary": True, "times": None} == {
        stage["stage"]: stage["passed"] for stage in answer["stages"]
    }
    assert ["KillCurrent", "DataIncr", "execution"] == [entry["action"] for entry in answer["ledger"]]

    other = tmp_path / "event.json"
    other.write_text(json.dumps(event).replace(str(victim), "/bin/harmless"))
    told = raqib("explain", "--recipe", "kills", "--event", other, "--recipes", tmp_path / "recipes", "--no-builtin")
    assert told.stdout.startswith("kills does not match, because of bases")
    assert 1 == raqib("explain", "0" * 8, *options).returncode
    assert 2 == raqib("explain", "0", *options).returncode
    assert 2 == raqib("explain").returncode


def test_recipes_are_listed_filtered_and_shown(tested: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"recipes: {{directories: ['{tested}'], disable: ['importance:low', 'kind:net_*']}}\n")
    listed = json.loads(raqib("recipes", "--config", config, "--json").stdout)
    by_name = {entry["name"]: entry for entry in listed}
    assert str(tested) == by_name["kills"]["source"]
    assert by_name["kills"]["enabled"]
    low = [entry for entry in listed if entry["importance"] == "low" or entry["kind"].startswith("net_")]
    assert low
    assert not any(execution["enabled"] for execution in low)
    filtered = raqib("recipes", "--no-builtin", "--config", config, "--name", "k*", "--tactic", "TA0040")
    assert "1 recipe, 1 of them run" in filtered.stdout
    assert "0 recipes" in raqib("recipes", "--no-builtin", "--config", config, "--importance", "low").stdout
    shown = raqib("recipes", "show", "kills", "--config", config).stdout
    assert "{base: 'xmrig'}" in shown
    assert "KillCurrent(); DataIncr('n');" in shown
    missing = raqib("recipes", "show", "kils", "--config", config)
    assert 2 == missing.returncode
    assert "did you mean kills" in missing.stderr


def test_a_recipe_that_did_not_load_is_told(public: Path) -> None:
    (public / "a.yaml").write_text(recipe("broken", patterns="[{base: x}]", reaction="function process(data) { ) }"))
    (public / "event.json").write_text('{"file": {"path": "/x"}}')
    own = ("--no-builtin", "--recipes", public)
    explained = raqib("explain", "--recipe", "broken", "--event", public / "event.json", *own)
    assert 2 == explained.returncode
    listed = raqib("recipes", "--json", *own)
    assert "[]\n" == listed.stdout
    for shown in (explained, listed):
        assert re.search(r"/a\.yaml:[0-9]+:34: broken: reactions\[0\]\.code: SyntaxError", shown.stderr)
