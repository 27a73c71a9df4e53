"""`raqib check` says what `raqib run` says at start, and fails where run would have something to say."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import RAQIB

RECIPE = """- {kind: k, name: n, version: '1', description: d, tactic: impact, technique: T1496, mechanism: execution,
   breed: execution, importance: low, bases: [{base: nothing-of-this-name}] EXTRA}
"""

COMPLAINTS: dict[str, tuple[str, str, bool]] = {
    "a key that is not known": ("recipe: {}", "did you mean recipes?", True),
    "several at once": ("reactions: {workers: 0}\nprinters: {raw: 5}", "expected true or false, found '5'", True),
    "a directory of recipes that is not there": (
        "recipes: {directories: [TMP/none], builtin: false}",
        "TMP/none: expected a file or directory of recipes, found nothing",
        False,
    ),
    "an entry of enable that means nothing": (
        "recipes:\n  builtin: false\n  enable:\n  - TMP-x",
        "config.yaml:4: $.recipes.enable[0]: expected an entry that means some recipe",
        False,
    ),
    "an entry of disable that means nothing": (
        "recipes: {builtin: false, disable: ['importance:hgh']}",
        "config.yaml:1: $.recipes.disable[0]: expected an entry that means some recipe, found 'importance:hgh'; did",
        False,
    ),
    "a recipe that is broken": (
        "recipes: {builtin: false, directories: [TMP/broken]}",
        "expected none or low or medium or high or critical, found 'hgh'; did you mean high?",
        False,
    ),
    "a reaction that does not compile": (
        "recipes: {builtin: false, directories: [TMP/reaction]}",
        "SyntaxError",
        False,
    ),
    "recipes that others can write": ("recipes: {builtin: false, directories: [TMP/loose]}", "chmod go-w", False),
    "a list for a recipe that is not there": (
        "recipes: {builtin: false, lists: {none: [TMP/none]}}",
        "config.yaml:1: $.recipes.lists.none: expected the name of a recipe",
        False,
    ),
    "a policy file that is not there": (
        "network: {policy: TMP/none}",
        "config.yaml:1: $.network.policy: TMP/none: expected a file, found none",
        True,
    ),
    "a policy that is wrong": (
        "network_policy:\n  cidr_mode: sometimes",
        "config.yaml:2: network_policy: $.network_policy.cidr_mode: expected bypass or alert",
        True,
    ),
    "a policy that denies everything": (
        "network_policy: {cidr_policy: deny}",
        "config.yaml:1: network_policy: $.network_policy.cidr_policy: expected rules that allow something",
        True,
    ),
    "no cgroup": ("network: {cgroup: TMP}", "$.network.cgroup: expected a directory of cgroup v2", True),
    "no network": ("network: {protected_cidrs: [10.0.0.1/8]}", "$.network.protected_cidrs[0]: expected a netw", True),
    "no resolver": ("network: {resolvers: [one]}", "$.network.resolvers[0]: expected an address", True),
    "no place for pins": (
        "network: {enforce: true, pin_dir: TMP/pins}",
        "$.network.pin_dir: expected a directory",
        True,
    ),
    "a log that is a directory": ("log_file: TMP", "$.log_file: expected a file to append to, found a directory", True),
    "an event log that is a directory": (
        "printers: {enabled: [varlog], varlog_path: TMP}",
        "$.printers.varlog_path: expected a file to append to, found a directory",
        True,
    ),
    "a data directory that is a file": (
        "data_dir: TMP/broken/a.yaml/x",
        "$.data_dir: expected a directory, found another file at 'TMP/broken/a.yaml'",
        True,
    ),
    "a ring of no power of two": ("sensors: {ring_bytes: 1000}", "$.sensors.ring_bytes: expected a power of two", True),
    "no YAML": ("recipes: [", "expected YAML", True),
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, text in (
        ("broken", RECIPE.replace("importance: low", "importance: hgh")),
        ("reaction", RECIPE.replace("EXTRA", ", reactions: [{format: js, code: 'let = ;'}]")),
        ("loose", RECIPE),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.yaml").write_text(text.replace("EXTRA", ""))
    (tmp_path / "loose").chmod(0o777)
    return tmp_path


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([RAQIB, *arguments], capture_output=True, text=True, check=False, timeout=100)


@pytest.mark.parametrize("complaint", COMPLAINTS)
def test_check_says_what_run_says(place: Path, complaint: str) -> None:
    text, expected, ends = COMPLAINTS[complaint]
    text, expected = text.replace("TMP", str(place)), expected.replace("TMP", str(place))
    config = place / "config.yaml"
    own = "\n" if "data_dir" in text else f"\ndata_dir: {place}/data\n"
    if "printers" not in text:
        own += "printers: {enabled: [void]}\n"
    config.write_text(f"{text}{own}")
    checked = run("check", config)
    assert 1 == checked.returncode, checked
    told = {line for line in checked.stdout.splitlines() if line.startswith(("error: ", "warning: "))}
    assert any(expected in line for line in told), checked.stdout
    assert not (place / "data").exists()
    ran = run("run", "--config", config, "--duration", "0.01")
    assert (2 if ends else 0) == ran.returncode, ran.stderr
    said = {line.removeprefix("raqib: ") for line in ran.stderr.splitlines() if line.startswith("raqib: ")}
    # What ends a start is told without a word before it.
    assert {line.removeprefix("error: ") for line in told} == {line.removeprefix("error: ") for line in said}
    assert ends is not ("ready: " in ran.stderr)


def test_what_options_name_is_told_by_their_names(place: Path) -> None:
    config = place / "config.yaml"
    config.write_text(f"data_dir: {place}/data\nrecipes: {{builtin: false}}\nprinters: {{enabled: [void]}}\n")
    for option in (("--policy", place / "none"), ("--cgroup", place), ("--data-dir", config), ("--log-file", place)):
        ran = run("run", "--config", config, *option)
        assert 2 == ran.returncode
        assert ran.stderr.startswith(f"raqib: {option[0]}: "), ran.stderr
    ran = run("run", "--config", config, "--duration", "0.01", "--enable", "nothing-at-all")
    assert "raqib: error: --enable: expected an entry that means some recipe, found 'nothing-at-all'" in ran.stderr


def test_recipes_that_are_not_there_are_a_matter_of_usage(tmp_path: Path) -> None:
    ran = run("run", "--recipes", tmp_path / "none", "--data-dir", tmp_path / "data")
    assert 2 == ran.returncode
    expected = f"raqib: --recipes: expected a directory or file of recipes, found nothing at {tmp_path}/none\n"
    assert expected == ran.stderr
    assert not (tmp_path / "data").exists()
