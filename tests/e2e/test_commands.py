"""demo, check, doctor, and who may run what."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.e2e.conftest import RAQIB, AgentProcess, recipe

NOBODY = 65534


def raqib(*arguments: str | Path, uid: int | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([RAQIB, *arguments], capture_output=True, text=True, check=False, user=uid)


def test_demo_shows_the_whole_story() -> None:
    shown = raqib("demo")
    assert 0 == shown.returncode, shown.stderr
    for part in (
        "demo_miner execution",
        "reaction warn: miner /tmp/raqib-demo-",
        "victim   killed by signal 9",
        '"killed":0}',
        "line 1: KillCurrent {",
        "miners killed so far: 1",
        "kernel event → matched +",
        "all of it happened",
    ):
        assert part in shown.stdout
    assert not list(Path("/tmp").glob("raqib-demo-*"))


def test_doctor_answers_with_three_kinds_of_answer() -> None:
    shown = raqib("doctor", "--json")
    assert 0 == shown.returncode
    answer = json.loads(shown.stdout)
    assert answer["works"]
    features = {feature["feature"]: feature["verdict"] for feature in answer["features"]}
    assert "yes" == features["tracepoint sys_exit"]
    assert set(features.values()) <= {"yes", "no", "unknown"}
    assert "the agent runs here" in raqib("doctor").stdout


def verdicts(*arguments: str | Path) -> tuple[int, dict[str, tuple[str, str]]]:
    shown = raqib("doctor", "--json", *arguments)
    found = json.loads(shown.stdout)["features"]
    return shown.returncode, {item["feature"]: (item["verdict"], item["detail"]) for item in found}


def test_doctor_looks_at_a_running_agent(run_agent: Callable[..., AgentProcess]) -> None:
    agent = run_agent("")
    here = ("--data-dir", agent.data_dir)
    status, found = verdicts(*here)
    assert 0 == status
    assert ("yes", f"pid {agent.process.pid}") == (
        found["a running agent"][0],
        found["a running agent"][1].split(", ")[1],
    )
    assert ["yes", "yes"] == [found[name][0] for name in ("its actions", "nothing is lost")]
    assert found["the workers' sandbox"][0] in ("yes", "no")
    assert 0 == raqib("disarm", *here).returncode
    assert ("no", "switched off: raqib arm switches them on") == verdicts(*here)[1]["its actions"]
    assert 0 == agent.stop()
    assert "no" == verdicts(*here)[1]["a running agent"][0]


def test_doctor_looks_at_configuration_and_recipes(tmp_path: Path) -> None:
    config, good, others = tmp_path / "config.yaml", tmp_path / "good", tmp_path / "others"
    good.mkdir()
    (good / "one.yaml").write_text(recipe("good", patterns="[{base: x}]"))
    others.mkdir()
    others.chmod(0o777)
    missing = tmp_path / "missing"
    config.write_text(f"recipes: {{directories: [{good}, {others}, {missing}]}}\n")
    status, found = verdicts("--config", config, "--data-dir", tmp_path)
    assert (0, "yes") == (status, found["configuration"][0])
    assert "yes" == found[f"recipes in {good}"][0]
    assert ("no", True) == (found[f"recipes in {others}"][0], "chmod go-w" in found[f"recipes in {others}"][1])
    assert ("no", True) == (found[f"recipes in {missing}"][0], "found nothing" in found[f"recipes in {missing}"][1])
    config.write_text("printers: {enabled: [stdout], rwa: true}\n")
    status, found = verdicts("--config", config, "--data-dir", tmp_path)
    assert (3, "no") == (status, found["configuration"][0])
    assert "did you mean raw" in found["configuration"][1]


def test_check_names_what_is_wrong(tmp_path: Path) -> None:
    good, bad, config = tmp_path / "good.yaml", tmp_path / "bad.yaml", tmp_path / "config.yaml"
    good.write_text(recipe("good", patterns="[{base: x}]", reaction="function process(data) { Info(1); }"))
    bad.write_text(recipe("bad", patterns="[{base: x, regexp: y}]", reaction="function proces(data) {}"))
    config.write_text("printers: {enabled: [stdout], rwa: true}\n")
    assert 0 == raqib("check", good).returncode
    shown = raqib("check", good, bad, config)
    assert 1 == shown.returncode
    assert "did you mean regex" in shown.stdout
    assert "did you mean raw" in shown.stdout
    assert "1 recipe and 1 configuration checked: 2 errors" in shown.stdout
    listed = json.loads(raqib("check", "--json", tmp_path / "good.yaml").stdout)
    assert {"recipes": 1, "exceptions": 0, "errors": 0, "diagnostics": []} == listed


def test_usage_and_privileges_have_exit_codes_of_their_own(tmp_path: Path) -> None:
    assert 2 == raqib("run", "--no-such-option").returncode
    assert 2 == raqib("run", "--printer", "nowhere").returncode
    assert 1 == raqib("check", tmp_path / "nothing-here").returncode
    missing = raqib("run", "--config", tmp_path / "none.yaml")
    assert 2 == missing.returncode
    assert "none.yaml" in missing.stderr
