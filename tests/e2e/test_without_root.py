"""Every command as somebody who is not root: a clear message, and exit status 3 where root is needed."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

import raqib
from raqib.actions.store import Store
from raqib.ledger.chain import Ledger
from tests.e2e.conftest import RAQIB, AgentProcess

NOBODY = 65534
CODE = "from raqib.cli import main; main()"

NEED_ROOT = (
    "run",
    "demo",
    "record -o {open}/recording.jsonl",
    "blocks",
    "blocks add 192.0.2.1",
    "blocks remove 192.0.2.1",
    "blocks off",
    "doctor",
    "status --data-dir {data}",
    "status --json --data-dir {data}",
    "arm --data-dir {data}",
    "disarm --data-dir {data}",
    "undo 1 --data-dir {data}",
    "ledger --data-dir {data}",
    "ledger verify --data-dir {data}",
    "store list --data-dir {data}",
    "store list recipe --data-dir {data}",
    "store get recipe key --data-dir {data}",
    "store set recipe key value --data-dir {data}",
    "store delete recipe key --data-dir {data}",
)
NEED_NOTHING = (
    "--help",
    "--version",
    "help blocks",
    "recipes --name crypto_miner_files",
    "recipes show crypto_miner_files",
    "test --builtin --name crypto_miner_files",
    "check {builtin}",
)


@cache
def interpreter() -> str | None:
    """Return a Python that nobody may run, which need not be the one that runs the tests; None if there is none."""
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        with contextlib.suppress(OSError):
            tried = subprocess.run([python, "-c", ""], user=NOBODY, group=NOBODY, check=False, cwd="/", env={})
            if not tried.returncode:
                return python
    return None


def as_nobody(line: str) -> subprocess.CompletedProcess[str]:
    python = interpreter()
    if python is None:
        pytest.skip("needs a Python of this version that everybody may run")
    packages = [str(Path(raqib.__file__).parents[1]), *(path for path in sys.path if "site-packages" in path)]
    environment = {"PYTHONPATH": ":".join(packages), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    return subprocess.run(
        [python, "-c", CODE, *shlex.split(line)],
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def open_place(tmp_path: Path) -> Path:
    """A directory that everybody may write to, below one that everybody may pass."""
    for directory in (tmp_path, *tmp_path.parents):
        if directory == Path("/tmp"):
            break
        directory.chmod(directory.stat().st_mode | 0o011)
    made = tmp_path / "open"
    made.mkdir()
    made.chmod(0o777)
    return made


@pytest.fixture
def data_dir(open_place: Path) -> Path:
    """What an agent has left behind."""
    made = open_place.parent / "data"
    made.mkdir(mode=0o700)
    Store(made / "store.db").close()
    Ledger(made / "ledger.jsonl").close()
    return made


@pytest.mark.parametrize("line", NEED_ROOT)
def test_what_needs_root_says_so(line: str, open_place: Path, data_dir: Path) -> None:
    shown = as_nobody(line.format(open=open_place, data=data_dir))
    assert 3 == shown.returncode, shown.stdout + shown.stderr
    assert "Traceback" not in shown.stderr
    said = shown.stdout if line == "doctor" else shown.stderr
    assert re.search(r"expected root|run it with sudo", said), said
    if line != "doctor":
        assert 1 == len(shown.stderr.splitlines())
        assert "raqib: raqib" not in shown.stderr
    assert [] == list(open_place.iterdir())


@pytest.mark.parametrize("line", NEED_NOTHING)
def test_what_needs_nothing_works(line: str) -> None:
    shown = as_nobody(line.format(builtin=Path(raqib.__file__).parent / "recipes/builtin/examples.yaml"))
    assert 0 == shown.returncode, shown.stdout + shown.stderr


def test_doctor_says_what_it_could_not_look_at() -> None:
    shown = as_nobody("doctor")
    assert "could not tell  eBPF programs load\n" in shown.stdout
    assert re.search(r"the agent does not run here; \d+ things could not be looked at\n", shown.stdout)
    assert [] == [line for line in shown.stdout.splitlines() if len(line) > 80]


def test_a_running_agent_answers_nobody_else(run_agent: Callable[..., AgentProcess], open_place: Path) -> None:
    agent = run_agent("")
    for directory in (agent.directory, agent.data_dir):
        directory.chmod(directory.stat().st_mode | 0o011)
    shown = as_nobody(f"status --data-dir {agent.data_dir}")
    assert (3, True) == (shown.returncode, "expected root" in shown.stderr)
    assert 0 == subprocess.run([RAQIB, "status", "--data-dir", agent.data_dir], check=False).returncode
