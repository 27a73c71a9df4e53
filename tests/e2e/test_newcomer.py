"""What README tells a newcomer to type, typed into a terminal in a fresh clone, until the first program is killed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import PATIENCE_S, start_victim
from tests.terminal import Terminal, environment

ROOT = Path(__file__).parents[2]
SET_UP_S = 600.0
"""Without caches everything is fetched and compiled."""

TRUSTING = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
"""The checkout may belong to somebody else, as it does in some containers."""


def git(*arguments: str | Path) -> bytes:
    done = subprocess.run(["git", *arguments], cwd=ROOT, env=os.environ | TRUSTING, capture_output=True, check=False)
    assert 0 == done.returncode, done.stderr
    return done.stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of this checkout, as it is now: what is not committed yet is in it too."""
    place = tmp_path / "raqib"
    git("clone", "--quiet", "--depth=1", ROOT.as_uri(), place)
    for name in git("ls-files", "-z", "--modified", "--others", "--exclude-standard").decode().split("\0"):
        if name and (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, place / name)
    return place


def readme_commands() -> list[str]:
    """Return the commands that README has for a recipe of one's own, the one that makes it first."""
    text = (ROOT / "README.md").read_text()
    found = re.search(r"^    mkdir -p /etc/raqib/recipes.*?(?=^\S)", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    block = "\n".join(line.removeprefix("    ") for line in found[0].rstrip().splitlines())
    recipe, end, others = block.partition("\nEOF\n")
    return [recipe + end.rstrip(), *others.splitlines()]


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_from_a_clone_to_the_first_kill(clone: Path, cgroup: Path, tmp_path: Path) -> None:
    """Only where things are differs: other programs run on this host, and nothing of theirs is to be touched."""
    watched, recipes, config = tmp_path / "watched", tmp_path / "recipes", tmp_path / "config.yaml"
    watched.mkdir()
    config.write_text(f"data_dir: {tmp_path / 'data'}\nnetwork: {{cgroup: {cgroup}}}\nrecipes: {{builtin: false}}\n")
    config.chmod(0o600)
    commands = (
        command.replace("/etc/raqib/recipes", str(recipes))
        .replace("{dir: /tmp}", f"{{dir: {watched}}}")
        .replace("raqib run ", f"raqib run --config {config} ")
        for command in readme_commands()
    )
    make_recipe, set_path, check, dry_run, run = commands
    assert str(watched) in make_recipe
    program = watched / "program"
    shutil.copy(Path("/bin/sh").resolve(), program)
    variables = environment(TERM="xterm-256color", PS1="$ ")
    with Terminal(["bash", "--norc", "-i"], cwd=clone, env=variables, columns=200, lines=1000) as terminal:
        terminal.type("make demo\n")
        shown = terminal.wait_for("all of it happened", patience_s=SET_UP_S)
        assert "done     KillCurrent pid " in shown

        terminal.type(f"./scripts/run --config {config}\n")
        terminal.wait_for("ready: 0 recipes")
        terminal.type("\x03")

        terminal.type(f"{make_recipe}\n{set_path}\n{check}\n")
        terminal.wait_for("checked: 0 errors, 0 warnings")

        terminal.type(f"{dry_run}\n")
        terminal.wait_for("ready: 1 recipe")
        with start_victim(program) as started:
            terminal.wait_for(f"would    KillCurrent pid {started.pid}")
            assert started.poll() is None
            started.communicate()
        terminal.type("\x03")

        terminal.type(f"{run}\n")
        terminal.wait_for("ready: 1 recipe", count=2)
        with start_victim(program) as started:
            assert -signal.SIGKILL == started.wait(PATIENCE_S)
        shown = terminal.wait_for(f"done     KillCurrent pid {started.pid}  +")
        headline = next(line for line in shown.splitlines() if "nothing_runs_from_tmp execution" in line)
        assert "HIGH" in headline
        assert f"  process  {program} -c 'read line'" in shown
        terminal.type("\x03")
        terminal.type("echo status $?.\n")
        shown = terminal.wait_for("status 0.")
        assert "Traceback" not in shown
        assert b"\x1b[2m" in terminal.written
